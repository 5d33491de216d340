package changes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lain.internal/lain/lain"
)

// Title says in a few words what a change does.
func Title(c lain.Change, app lain.AppName) string {
	switch c.Why {
	case lain.WhyRollback:
		return fmt.Sprintf("rollback of %s to v%d", app, c.From)
	case lain.WhySecrets:
		return fmt.Sprintf("new secrets of %s", app)
	case lain.WhyScale:
		return fmt.Sprintf("scale of %s: %s", app, joined(slices.Sorted(maps.Keys(c.Sizes))))
	case lain.WhyRestart:
		if len(c.Procs) > 0 {
			return fmt.Sprintf("restart of %s: %s", app, joined(c.Procs))
		}
	}
	return fmt.Sprintf("%s of %s", c.Why, app)
}

// Scaled says in words where what people scaled differs from lain.yaml, sorted by proc.
func Scaled(r lain.Release) []string {
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

func joined(names []lain.ProcName) string {
	var all []string
	for _, n := range names {
		all = append(all, string(n))
	}
	return strings.Join(all, ", ")
}
