package vaultbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/failpoint"
)

// The pause before a vault that is away is asked again.
const (
	firstPause = 100 * time.Millisecond
	pauseLimit = 2 * time.Second
)

// read asks the vault, again and again while it is away and our patience lasts. The error is explained.
func (b *Bridge) read(ctx context.Context, who *session, ask func(context.Context, *api.Client) error) error {
	return b.patiently(ctx, func() (error, bool) {
		err := b.once(ctx, who, ask)
		class := classify(err)
		return err, class == ErrSealed || class == ErrGone || class == ErrSlow
	})
}

// write does one write under a name for failpoints. It is repeated only when the vault has surely not done it;
// otherwise the error is also Unsettled.
func (b *Bridge) write(ctx context.Context, name string, who *session, do func(context.Context, *api.Client) error) error {
	return b.patiently(ctx, func() (error, bool) {
		asked := false
		err := failpoint.Around(name, func() error {
			return b.once(ctx, who, func(ctx context.Context, c *api.Client) error {
				asked = true
				return do(ctx, c)
			})
		})
		class := classify(err)
		settled := !asked || notSent(err)
		if err != nil && !settled {
			err = fmt.Errorf("%w: %w", errUnsettled, err)
		}
		return err, settled && (class == ErrSealed || class == ErrGone || class == ErrSlow)
	})
}

// patiently repeats try while it says that this may help.
func (b *Bridge) patiently(ctx context.Context, try func() (err error, again bool)) error {
	began, pause := time.Now(), firstPause
	for {
		err, again := try()
		if err == nil || !again || time.Since(began)+pause > b.patience || ctx.Err() != nil {
			return b.explain(ctx, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return b.explain(ctx, err)
		}
		pause = min(2*pause, pauseLimit)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// isMissing reports ErrNotFound.
func isMissing(err error) bool { return errors.Is(err, ErrNotFound) }
