package api

import (
	"slices"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// withOneshots adds to what is seen of an application how its oneshot procs ended the last time, but of those that
// run now.
func (c *call) withOneshots(seen []lain.ProcSeen) ([]lain.ProcSeen, error) {
	ended, _, err := state.Of[lain.ProcSeen](c.Store, lain.OneshotsPrefix).List(c, string(c.app)+"/")
	for _, i := range ended {
		end := i.Value
		again := func(p lain.ProcSeen) bool { return p.Proc == end.Proc && !p.Begun.IsZero() && p.Attempt > end.Attempt }
		same := func(p lain.ProcSeen) bool { return p.Proc == end.Proc && !p.Begun.IsZero() && p.Attempt == end.Attempt }
		if !slices.ContainsFunc(seen, again) {
			seen = append(slices.DeleteFunc(seen, same), end)
		}
	}
	return seen, err
}
