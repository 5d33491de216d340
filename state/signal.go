package state

import (
	"context"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Signal gives a token at the start and after any change below one of the prefixes (lain.*Prefix, or
// deeper). Tokens are folded: one that waits stands for all. Whoever reads the records after taking a
// token has either seen a change or will get another token for it. The channel is closed when ctx or
// the store ends.
func (s *Store) Signal(ctx context.Context, prefixes ...string) <-chan struct{} {
	token := make(chan struct{}, 1)
	ctx, done := s.within(ctx)
	if !s.spawn(func() { defer close(token); defer done(); s.signal(ctx, prefixes, token) }) {
		done()
		close(token)
	}
	return token
}

func (s *Store) signal(ctx context.Context, prefixes []string, token chan<- struct{}) {
	var tails sync.WaitGroup
	for _, prefix := range prefixes {
		t := s.ringing(prefix, token)
		tails.Go(func() { _ = t.run(ctx) }) // ends with ctx only: neither of its parts makes a lasting error
	}
	tails.Wait()
	<-ctx.Done()
}

// ringing is a tail that reads no record.
func (s *Store) ringing(prefix string, token chan<- struct{}) tail {
	ring := func() {
		select {
		case token <- struct{}{}:
		default:
		}
	}
	return tail{store: s, path: s.root + prefix,
		snapshot: func(ctx context.Context) (int64, error) {
			rev, err := s.revision(ctx)
			if err == nil {
				ring()
			}
			return rev, err
		},
		changes: func(events []*clientv3.Event) error {
			if len(events) > 0 {
				ring()
			}
			return nil
		}}
}
