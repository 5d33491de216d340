package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/lain/fault"
)

// tail is what Follow and Signal share: a snapshot, then every change after it.
type tail struct {
	store    *Store
	path     string                               // of etcd, a prefix
	snapshot func(context.Context) (int64, error) // reads what is, and returns the revision it was read at
	changes  func(events []*clientv3.Event) error // in order, none left out since the snapshot
}

const (
	retryMin = 50 * time.Millisecond
	retryMax = 5 * time.Second
)

// run returns when ctx or the store ends, or with the first error that waiting cannot mend. A lost
// connection goes on where it was; a history that etcd has compacted away meanwhile is replaced by a
// new snapshot.
func (t tail) run(ctx context.Context) error {
	ctx, done := t.store.within(ctx)
	defer done()
	var next int64 // the first revision not seen yet; 0: none is, take a snapshot
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		seen, err := t.once(ctx, next)
		if ctx.Err() != nil {
			return fmt.Errorf("follow %s: %w", t.path, context.Cause(ctx))
		}
		if !transient(err) {
			return err
		}
		if errors.Is(err, rpctypes.ErrCompacted) {
			seen = 0
		}
		if seen != next {
			pause = retryMin
		}
		next = seen
		t.store.log.Warn("watch interrupted", "path", t.path, "error", err)
		wait(ctx, pause/2+rand.N(pause))
	}
}

// once works until something fails and returns the revision to go on from.
func (t tail) once(ctx context.Context, next int64) (int64, error) {
	if next == 0 {
		rev, err := t.snapshot(ctx)
		if err != nil {
			return 0, err
		}
		next = rev + 1
	}
	return t.watch(ctx, next)
}

func (t tail) watch(ctx context.Context, next int64) (int64, error) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := t.store.client.Watch(ctx, t.path, clientv3.WithPrefix(), clientv3.WithRev(next), clientv3.WithProgressNotify())
	for resp := range watch {
		if err := resp.Err(); err != nil {
			return next, interrupted{err}
		}
		if err := t.changes(resp.Events); err != nil {
			return next, err
		}
		if resp.IsProgressNotify() {
			next = max(next, resp.Header.Revision+1)
		}
		if n := len(resp.Events); n > 0 {
			next = resp.Events[n-1].Kv.ModRevision + 1
		}
	}
	return next, interrupted{errors.New("the watch ended")}
}

// refused marks an error of whoever is told of the changes: it is final, whatever it says.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// interrupted marks what a new watch may mend.
type interrupted struct{ error }

func (i interrupted) Unwrap() error { return i.error }

func transient(err error) bool {
	var r refused
	var i interrupted
	var f *fault.Fault
	if errors.As(err, &r) {
		return false
	}
	return errors.As(err, &i) || errors.As(err, &f) && f.Kind == fault.Unavailable
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
