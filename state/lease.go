package state

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/failpoint"
)

// Lease is a promise of this process to be alive: the records put under it vanish when it ends. It is
// renewed by itself until Close, the end of the store, or until it is lost.
type Lease struct {
	store *Store
	id    clientv3.LeaseID
	ttl   time.Duration
	end   context.CancelFunc
	done  chan struct{}
}

// Lease makes a lease that outlives its process by ttl (whole seconds, at least 1). ctx bounds the
// making only.
func (s *Store) Lease(ctx context.Context, ttl time.Duration) (*Lease, error) {
	began := time.Now()
	var grant *clientv3.LeaseGrantResponse
	err := failpoint.Around("state.lease", func() error {
		return s.call(ctx, "make a lease", func(ctx context.Context) (err error) {
			grant, err = s.client.Grant(ctx, int64(max(1, (ttl+time.Second-1)/time.Second)))
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	keep, end := context.WithCancel(s.ctx)
	l := &Lease{store: s, id: grant.ID, ttl: time.Duration(grant.TTL) * time.Second, end: end, done: make(chan struct{})}
	if !s.spawn(func() { l.keep(keep, began.Add(l.ttl)) }) {
		end()
		return nil, s.explain(ctx, "make a lease", ErrClosed)
	}
	return l, nil
}

// Done is closed when the lease is lost or closed. It counts from the sending of the last renewal that
// was answered, so it is closed before etcd can give the records to somebody else (clocks that run at
// one speed provided).
func (l *Lease) Done() <-chan struct{} { return l.done }

// Close ends the renewal and removes the lease's records at once where etcd answers, after the rest of
// its time otherwise (a closed store does not). A second call does nothing.
func (l *Lease) Close() {
	l.end()
	<-l.done
	if l.store.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	defer context.AfterFunc(l.store.ctx, cancel)()
	err := failpoint.Around("state.revoke", func() error {
		_, err := l.store.client.Revoke(ctx, l.id)
		return err
	})
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.store.log.Warn("lease not revoked", "error", err)
	}
}

// keep renews the lease every third of its time, until ctx ends or its time has run out.
func (l *Lease) keep(ctx context.Context, until time.Time) {
	defer close(l.done)
	every := time.NewTicker(l.ttl / 3)
	defer every.Stop()
	expiry := time.NewTimer(time.Until(until))
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-expiry.C:
			l.store.log.Error("lease lost", "ttl", l.ttl)
			return
		case <-every.C:
		}
		renewed, gone := l.renew(ctx, until)
		if gone {
			l.store.log.Error("lease lost", "ttl", l.ttl)
			return
		}
		if renewed.After(until) {
			until = renewed
			expiry.Reset(time.Until(until))
		}
	}
}

// renew asks once. It returns until when the lease now holds, and whether etcd has dropped it.
func (l *Lease) renew(ctx context.Context, until time.Time) (time.Time, bool) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	answer, err := l.store.client.KeepAliveOnce(ctx, l.id)
	if err != nil {
		return until, errors.Is(err, rpctypes.ErrLeaseNotFound)
	}
	return began.Add(time.Duration(answer.TTL) * time.Second), false
}
