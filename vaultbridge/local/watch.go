package local

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Times of the watch.
const (
	look       = time.Second
	rotation   = time.Minute
	firstPause = time.Second // between two attempts to mend it; doubled up to lastPause
	lastPause  = 30 * time.Second
	wakeAfter  = 15 * time.Second // of silence: it may be held still
	killAfter  = 45 * time.Second // of silence: it hangs
	deafAfter  = 3 * time.Second  // without a socket: somebody removed it
)

// Run keeps Vault running and unsealed until ctx ends: a dead process is started again, a sealed one unsealed,
// one that is silent is woken and then replaced, one without its socket replaced; a large audit file is set
// aside. What cannot be mended is tried again with growing pauses of up to 30 s, and logged. Vault itself goes on
// when Run ends. It returns nil.
func (v *Vault) Run(ctx context.Context) error {
	tick, turn := time.NewTicker(look), time.NewTicker(rotation)
	defer tick.Stop()
	defer turn.Stop()
	var w watch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turn.C:
			v.rotate()
		case <-tick.C:
			v.attend(ctx, &w)
		}
	}
}

func (v *Vault) rotate() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.live.rotate(maxAudit); err != nil {
		v.log.Error("vault's audit trail cannot be rotated", "error", err)
	}
}

// attend looks once and does what the watch says.
func (v *Vault) attend(ctx context.Context, w *watch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.live.observe(ctx)
	if ctx.Err() != nil {
		return
	}
	do := w.next(seen, time.Now())
	if do == nothing {
		return
	}
	v.log.Warn("vault needs help", "seen", seen.String(), "doing", do.String())
	if err := v.live.mend(ctx, do); err != nil && ctx.Err() == nil {
		v.log.Error("vault cannot be mended yet", "doing", do.String(), "error", err)
	}
}

func (i *instance) observe(ctx context.Context) observation {
	if !i.alive() {
		return dead
	}
	now, err := i.status(ctx)
	switch {
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED):
		return deaf
	case err != nil:
		return silent
	case now.Sealed:
		return sealed
	}
	return well
}

func (i *instance) mend(ctx context.Context, do action) error {
	switch do {
	case wake:
		return i.resume()
	case replace:
		if err := i.stop(ctx); err != nil {
			return err
		}
	}
	return i.up(ctx)
}
