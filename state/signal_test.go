package state_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

func token(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	select {
	case _, open := <-c:
		if !open {
			t.Fatalf("%s: the channel is closed", why)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: no token", why)
	}
}

// drained takes tokens until the record that it reads after one is as wanted, and fails when a token is
// missing for that.
func drained(t *testing.T, c <-chan struct{}, k state.Kind[record], key string, want int) {
	t.Helper()
	for {
		got, err := k.Get(t.Context(), key)
		if err == nil && got.Value.Count == want {
			return
		}
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			t.Fatal(err)
		}
		token(t, c, "the record is not there yet")
	}
}

func TestSignal_nothingIsMissedAndDoublesAreFolded(t *testing.T) {
	s := statetest.Open(t)
	routes, endpoints := state.Of[record](s, "routes/"), state.Of[record](s, "endpoints/")
	ctx, cancel := context.WithCancel(t.Context())
	c := s.Signal(ctx, "routes/", "endpoints/")
	token(t, c, "at the start")
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for i := range 200 {
			if _, err := routes.Put(ctx, "a", record{Count: i + 1}); err != nil {
				t.Error(err)
			}
		}
	}()
	drained(t, c, routes, "a", 200)
	<-wrote
	put(t, endpoints, "a/web", 7)
	drained(t, c, endpoints, "a/web", 7)
	if len(c) > 1 {
		t.Errorf("%d tokens wait", len(c))
	}
	cancel()
	for range c { // until it is closed
	}
}

func TestSignal_survivesCompaction(t *testing.T) {
	l := newLink(t)
	inside := state.Of[record](l.inner, "routes/")
	c := l.outer.Signal(t.Context(), "routes/")
	token(t, c, "at the start")
	put(t, inside, "a", 1)
	token(t, c, "a change")
	l.cut()
	put(t, inside, "a", 2)
	l.compact(put(t, state.Of[record](l.inner, "apps/"), "b", 1))
	l.mend()
	token(t, c, "a change that was compacted away")
	put(t, inside, "a", 3)
	token(t, c, "a later change")
}

func TestSignal_isClosedWithTheStore(t *testing.T) {
	s := statetest.Open(t)
	c := s.Signal(t.Context(), "routes/")
	must(t, s.Close())
	for range c {
	}
}

func TestLease_itsRecordsVanishWithIt(t *testing.T) {
	t.Parallel()
	s := statetest.Open(t)
	k := state.Of[record](s, "owners/")
	lines := story(t, k, "")
	tells(t, lines, "synced")
	l, err := s.Lease(t.Context(), time.Second)
	must(t, err)
	_, err = k.PutLeased(t.Context(), "a", record{Count: 1}, l)
	must(t, err)
	_, err = k.CreateLeased(t.Context(), "b", record{Count: 1}, l)
	must(t, err)
	if _, err := k.CreateLeased(t.Context(), "b", record{}, l); !errors.Is(err, state.ErrExists) {
		t.Errorf("created again: %v", err)
	}
	_, err = k.Update(t.Context(), "b", func(r *record) error { r.Count = 2; return nil })
	must(t, err)
	put(t, k, "c", 1) // no lease holds it
	tells(t, lines, "a=1", "b=1", "b=2", "c=1")
	select {
	case <-l.Done():
		t.Fatal("it was lost")
	case <-time.After(2500 * time.Millisecond): // two and a half times its length: it is renewed
	}
	is := func(key string) bool { _, err := k.Get(t.Context(), key); return err == nil }
	if !is("a") || !is("b") {
		t.Error("its records went while it was held")
	}
	l.Close()
	l.Close()
	<-l.Done()
	tells(t, lines, "-a", "-b")
	if !is("c") {
		t.Error("it took a record that it did not hold")
	}
	if _, err := k.PutLeased(t.Context(), "d", record{}, l); err == nil {
		t.Error("a record was put under a lost lease")
	}
}

func TestLease_isLostBeforeItsRecordsGo(t *testing.T) {
	t.Parallel()
	l := newLink(t)
	k := state.Of[record](l.inner, "owners/")
	lease, err := l.outer.Lease(t.Context(), 2*time.Second)
	must(t, err)
	_, err = state.Of[record](l.outer, "owners/").PutLeased(t.Context(), "a", record{Count: 1}, lease)
	must(t, err)
	select {
	case <-lease.Done():
		t.Fatal("it was lost while its store answered")
	case <-time.After(2500 * time.Millisecond): // longer than it lives: it has been renewed
	}
	l.cut()
	<-lease.Done()
	if _, err := k.Get(t.Context(), "a"); err != nil {
		t.Errorf("when its holder heard of it, the record was gone: %v", err)
	}
	lines := story(t, k, "")
	for line := range lines {
		if line == "-a" {
			break
		}
	}
	lease.Close()
	l.mend()
}

func TestLease_endsWithTheStore(t *testing.T) {
	s := statetest.Open(t)
	l, err := s.Lease(t.Context(), time.Minute)
	must(t, err)
	must(t, s.Close())
	<-l.Done()
	l.Close()
}
