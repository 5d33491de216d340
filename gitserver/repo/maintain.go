package repo

import (
	"context"
	"fmt"

	"lain.internal/lain/failpoint"
)

// keepUnreachable is how long an object that no ref needs is kept: a failed run may be looked at, and
// pushed again, for seven days.
const keepUnreachable = "8.days.ago"

// Maintain folds the packs of past pushes into one and drops objects that nothing has needed for eight
// days, with what a killed push left behind. It may run beside pushes: what a push brings is younger than
// that. Two at once in one repository do no harm, but the second does nothing useful.
func (r *Repository) Maintain(ctx context.Context) error {
	if removing := r.store.o.Removing; removing != nil {
		in, leave, err := removing(ctx)
		if err != nil {
			return fmt.Errorf("maintain the repository of %s: %w", r.app, err)
		}
		defer leave()
		ctx = in
	}
	for _, args := range [][]string{
		{"repack", "-q", "-d", "-l", "--cruft", "--cruft-expiration=" + keepUnreachable},
		{"prune", "--expire=" + keepUnreachable},
		{"reflog", "expire", "--all", "--expire=90.days.ago", "--expire-unreachable=" + keepUnreachable},
		{"pack-refs", "--all"},
	} {
		c := r.git(args...)
		c.cpu = 3600
		err := failpoint.Around("git.maintain", func() error {
			_, err := c.output(ctx, maxText)
			return err
		})
		if err != nil {
			return fmt.Errorf("maintain the repository of %s: %w", r.app, err)
		}
	}
	return nil
}
