package plan

import (
	"cmp"
	"slices"
	"time"

	"lain.internal/lain/lain"
)

// Back is the return that failed leaves behind it: good again, which served before, under the next number. It
// serves from its beginning, with the containers, secrets, routes and sizes of good. A ban stays with the root,
// where it counts for all that returned to it; it does not stop a return, since what serves goes on serving.
func Back(good, failed lain.Release, number int, now time.Time) lain.Release {
	next := good
	next.Number, next.Why, next.From = number, lain.WhyReturn, good.Root()
	next.Run, next.By, next.Created, next.Ended = failed.Run, failed.By, now, time.Time{}
	next.Status, next.Reason, next.Forced, next.Ban = lain.ReleaseServing, "", false, nil
	next.Procs = slices.Clone(good.Procs)
	for i, p := range next.Procs {
		next.Procs[i].Since = cmp.Or(p.Since, good.Number)
	}
	return next
}
