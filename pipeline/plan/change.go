package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Changed is the release that a change makes of base, while serving is what serves. Number, run, person and
// time are left to the caller.
func Changed(c lain.Change, base, serving lain.Release) (lain.Release, error) {
	next := base
	next.Number, next.Reason, next.Ban, next.Forced = 0, "", nil, false
	next.Status, next.Why, next.From = lain.ReleasePending, c.Why, base.Number
	if !c.OldSecrets {
		next = pinnedAs(next, serving) // until the vault says more
	}
	next.Procs = slices.Clone(next.Procs)
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

// Fits refuses the first proc of which one instance is larger than largest, the memory of the largest node in
// bytes; 0: not known.
func Fits(app lain.AppName, procs []lain.ProcSpec, largest int64) error {
	for _, p := range procs {
		if largest > 0 && p.MemoryBytes > largest {
			return fault.New(fault.Invalid, "memory of %s: %d MiB, but the largest node has %d MiB", p.Name, p.MemoryBytes>>20, largest>>20).
				WithHint("Give it less: memory in lain.yaml, or: scale %s %s --memory 256m", app, p.Name)
		}
	}
	return nil
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
	case p.Instances < 0 || p.Instances > lain.MostInstances:
		return fault.New(fault.Invalid, "%s=%d: a proc has 0 to %d instances", p.Name, p.Instances, lain.MostInstances)
	case p.MemoryBytes < lain.LeastMemory:
		return fault.New(fault.Invalid, "memory of %s: %d bytes is too little, an instance needs at least %d MiB", p.Name, p.MemoryBytes, lain.LeastMemory>>20)
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

func indexOf(procs []lain.ProcSpec, name lain.ProcName) int {
	return slices.IndexFunc(procs, func(p lain.ProcSpec) bool { return p.Name == name })
}

func names(procs []lain.ProcSpec) string {
	var all []string
	for _, p := range procs {
		all = append(all, string(p.Name))
	}
	return strings.Join(all, ", ")
}

// And lists names for a sentence: "a, b and c".
func And(names []lain.ProcName) string {
	text := ""
	for i, name := range names {
		switch i {
		case 0:
		case len(names) - 1:
			text += " and "
		default:
			text += ", "
		}
		text += string(name)
	}
	return text
}
