package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// MostInstances bounds the instances of one proc.
const MostInstances = 500

// leastMemory is what the engine accepts as a limit, bytes.
const leastMemory = 6 << 20

// Changed is the release that a change makes of base, while serving is what serves. Number, run, person and
// time are left to the caller.
func Changed(c lain.Change, base, serving lain.Release) (lain.Release, error) {
	next := base
	next.Number, next.Reason, next.Ban, next.Forced = 0, "", nil, false
	next.Status, next.Why, next.From = lain.ReleasePending, c.Why, base.Number
	next.Procs = slices.Clone(base.Procs)
	for i, p := range next.Procs {
		next.Procs[i] = declared(p)
	}
	next.Sizes = inherited(serving.Sizes, next.Procs)
	for name, size := range c.Sizes {
		if err := resize(&next, name, size); err != nil {
			return next, err
		}
	}
	return Sized(next, next.Sizes), nil
}

// Sized is r in the sizes that people gave its procs; those of procs that r has not are dropped.
func Sized(r lain.Release, sizes map[lain.ProcName]lain.Size) lain.Release {
	r.Sizes = inherited(sizes, r.Procs)
	r.Procs = scaled(r.Procs, r.Sizes)
	return r
}

// declared is a proc as lain.yaml has it, without what people scaled.
func declared(p lain.ProcSpec) lain.ProcSpec {
	if p.Declared == nil {
		return p
	}
	p = p.Resized(*p.Declared)
	p.Declared = nil
	return p
}

// inherited are the sizes that still have a proc.
func inherited(sizes map[lain.ProcName]lain.Size, procs []lain.ProcSpec) map[lain.ProcName]lain.Size {
	kept := map[lain.ProcName]lain.Size{}
	for name, size := range sizes {
		if i := indexOf(procs, name); i >= 0 {
			kept[name] = size
		}
	}
	return kept
}

// resize adds size to what people asked for before; a zero size forgets all that.
func resize(r *lain.Release, name lain.ProcName, size lain.Size) error {
	i := indexOf(r.Procs, name)
	if i < 0 {
		return fault.New(fault.NotFound, "%s has no proc %s", r.App, name).WithHint("Its procs are: %s", names(r.Procs))
	}
	if r.Procs[i].Type == lain.Oneshot && size.Instances != nil {
		return fault.New(fault.Invalid, "%s is a oneshot proc: one instance runs once with each push", name)
	}
	if size.IsZero() {
		delete(r.Sizes, name)
		return nil
	}
	r.Sizes[name] = size.Over(r.Sizes[name])
	return sensible(r.Procs[i].Resized(r.Sizes[name]))
}

// sensible refuses a size that no machine can give.
func sensible(p lain.ProcSpec) error {
	switch {
	case p.Instances < 0 || p.Instances > MostInstances:
		return fault.New(fault.Invalid, "%s=%d: a proc has 0 to %d instances", p.Name, p.Instances, MostInstances)
	case p.MemoryBytes < leastMemory:
		return fault.New(fault.Invalid, "memory of %s: %d bytes is too little, an instance needs at least %d MiB", p.Name, p.MemoryBytes, leastMemory>>20)
	case p.CPULevel < 0 || p.CPULevel > 8:
		return fault.New(fault.Invalid, "cpu of %s: %d is no level; they are 0 (no limit) to 8 (half a node)", p.Name, p.CPULevel)
	}
	return nil
}

// scaled are the procs in the sizes that people gave them; those keep what lain.yaml says beside it.
func scaled(procs []lain.ProcSpec, sizes map[lain.ProcName]lain.Size) []lain.ProcSpec {
	out := slices.Clone(procs)
	for i, p := range out {
		size, ok := sizes[p.Name]
		if !ok {
			continue
		}
		was := p.Size()
		out[i] = p.Resized(size)
		out[i].Declared = &was
	}
	return out
}

// Differences says in words where what people scaled differs from lain.yaml, sorted by proc.
func Differences(r lain.Release) []string {
	var lines []string
	for _, p := range r.Procs {
		if p.Declared == nil {
			continue
		}
		d := p.Resized(*p.Declared)
		var parts []string
		if d.Instances != p.Instances {
			parts = append(parts, fmt.Sprintf("%d instances (lain.yaml: %d)", p.Instances, d.Instances))
		}
		if d.MemoryBytes != p.MemoryBytes {
			parts = append(parts, fmt.Sprintf("memory %d MiB (lain.yaml: %d)", p.MemoryBytes>>20, d.MemoryBytes>>20))
		}
		if d.CPULevel != p.CPULevel {
			parts = append(parts, fmt.Sprintf("cpu %d (lain.yaml: %d)", p.CPULevel, d.CPULevel))
		}
		if len(parts) > 0 {
			lines = append(lines, fmt.Sprintf("%s is scaled: %s", p.Name, strings.Join(parts, ", ")))
		}
	}
	slices.Sort(lines)
	return lines
}

// Settle says of each proc since which release its containers are what they are: one that is just what it is
// in serving keeps them, unless renew says that it gets new ones.
func Settle(r *lain.Release, serving lain.Release, renew func(lain.ProcName) bool) {
	for i, p := range r.Procs {
		r.Procs[i].Since = r.Number
		now, ok := serving.Proc(p.Name)
		if ok && serving.Commit == r.Commit && sameContainers(p, now) && !renew(p.Name) {
			r.Procs[i].Since = cmp.Or(now.Since, serving.Number)
		}
	}
}

// sameContainers reports whether a and b mean the same containers, in whatever number.
func sameContainers(a, b lain.ProcSpec) bool {
	for _, p := range []*lain.ProcSpec{&a, &b} {
		p.Since, p.Instances, p.Declared = 0, 0, nil
	}
	x, err := json.Marshal(a) // as records, where nothing and an empty list are the same
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// Renews says which procs a change gives new containers although nothing of them changed.
func Renews(c *lain.Change) func(lain.ProcName) bool {
	switch {
	case c == nil:
		return func(lain.ProcName) bool { return false }
	case c.Why == lain.WhyRedeploy, c.Why == lain.WhyRestart && len(c.Procs) == 0:
		return func(lain.ProcName) bool { return true }
	case c.Why == lain.WhyRestart:
		return func(name lain.ProcName) bool { return slices.Contains(c.Procs, name) }
	}
	return func(lain.ProcName) bool { return false }
}

// Title says in a few words what a change does.
func Title(c lain.Change, app lain.AppName) string {
	switch c.Why {
	case lain.WhyRollback:
		return fmt.Sprintf("rollback of %s to v%d", app, c.From)
	case lain.WhyScale:
		return fmt.Sprintf("scale of %s: %s", app, joined(slices.Sorted(maps.Keys(c.Sizes))))
	case lain.WhyRestart:
		if len(c.Procs) > 0 {
			return fmt.Sprintf("restart of %s: %s", app, joined(c.Procs))
		}
	}
	return fmt.Sprintf("%s of %s", c.Why, app)
}

func indexOf(procs []lain.ProcSpec, name lain.ProcName) int {
	return slices.IndexFunc(procs, func(p lain.ProcSpec) bool { return p.Name == name })
}

func names(procs []lain.ProcSpec) string {
	var all []lain.ProcName
	for _, p := range procs {
		all = append(all, p.Name)
	}
	return joined(all)
}

// And lists names for a sentence: "a, b and c".
func And(names []lain.ProcName) string {
	if len(names) < 2 {
		return joined(names)
	}
	last := len(names) - 1
	return joined(names[:last]) + " and " + string(names[last])
}

func joined(names []lain.ProcName) string {
	var all []string
	for _, n := range names {
		all = append(all, string(n))
	}
	return strings.Join(all, ", ")
}
