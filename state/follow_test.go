package state_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// story follows a kind and gives what it is told, one line per change.
func story(t *testing.T, k state.Kind[record], prefix string) <-chan string {
	t.Helper()
	lines, ended := make(chan string, 1000), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- k.Follow(ctx, prefix, func(c state.Change[record]) error {
			switch {
			case c.Synced:
				lines <- "synced"
			case c.Deleted:
				lines <- "-" + c.Key
			default:
				lines <- fmt.Sprintf("%s=%d", c.Key, c.Value.Count)
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("follow ended with %v", err)
		}
	})
	return lines
}

func tells(t *testing.T, lines <-chan string, want ...string) {
	t.Helper()
	for i, w := range want {
		select {
		case got := <-lines:
			if got != w {
				t.Fatalf("line %d is %q; want %q", i, got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing more; want %q", w)
		}
	}
}

func silent(t *testing.T, lines <-chan string) {
	t.Helper()
	if len(lines) > 0 {
		t.Errorf("it went on with %q", <-lines)
	}
}

func put(t *testing.T, k state.Kind[record], key string, count int) int64 {
	t.Helper()
	rev, err := k.Put(t.Context(), key, record{Count: count})
	must(t, err)
	return rev
}

func del(t *testing.T, k state.Kind[record], key string) int64 {
	t.Helper()
	rev, err := k.Delete(t.Context(), key)
	must(t, err)
	return rev
}

func TestFollow_tellsWhatIsThenWhatChanges(t *testing.T) {
	s := statetest.Open(t)
	k := state.Of[record](s, "procs/")
	put(t, k, "b/web", 1)
	put(t, k, "a/web", 1)
	all, some := story(t, k, ""), story(t, k, "a/")
	tells(t, all, "a/web=1", "b/web=1", "synced")
	tells(t, some, "a/web=1", "synced")
	put(t, k, "a/web", 2)
	put(t, state.Of[record](s, "seen/"), "a/web", 9)
	del(t, k, "b/web")
	put(t, k, "b/web", 3)
	del(t, k, "absent")
	put(t, k, "a/last", 4)
	tells(t, all, "a/web=2", "-b/web", "b/web=3", "a/last=4")
	tells(t, some, "a/web=2", "a/last=4")
	silent(t, all)
	silent(t, some)
}

func TestFollow_ofNothingIsSynced(t *testing.T) {
	tells(t, story(t, state.Of[record](statetest.Open(t), "procs/"), ""), "synced")
}

func TestFollow_leavesNothingOutWhileOthersWrite(t *testing.T) {
	const writes = 500
	k := state.Of[record](statetest.Open(t), "apps/")
	began := make(chan struct{})
	go func() {
		defer close(began)
		for i := 1; i <= writes; i++ {
			if _, err := k.Put(t.Context(), "a", record{Count: i}); err != nil {
				t.Error(err)
			}
		}
	}()
	lines := story(t, k, "")
	next := 0 // unknown: the snapshot may show any
	for next <= writes {
		line := <-lines
		var n int
		if _, err := fmt.Sscanf(line, "a=%d", &n); err != nil {
			continue
		}
		if next != 0 && n != next {
			t.Fatalf("told %d; want %d", n, next)
		}
		next = n + 1
	}
	<-began
}

func TestFollow_isEndedByItsFunction(t *testing.T) {
	k := state.Of[record](statetest.Open(t), "apps/")
	put(t, k, "a", 1)
	for _, no := range []error{errors.New("no"), fault.New(fault.Unavailable, "the engine is away")} {
		if err := k.Follow(t.Context(), "", func(state.Change[record]) error { return no }); err != no {
			t.Errorf("got %v; want %v", err, no)
		}
	}
}

func TestFollow_failsOnARecordItCannotRead(t *testing.T) {
	s := statetest.Open(t)
	put(t, state.Of[record](s, "apps/").Upgrading(nil), "a", 1)
	err := state.Of[record](s, "apps/").Follow(t.Context(), "", func(state.Change[record]) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "schema 2") {
		t.Errorf("got %v", err)
	}
}

func TestFollow_goesOnAfterALostConnection(t *testing.T) {
	l := newLink(t)
	inside := state.Of[record](l.inner, "apps/")
	put(t, inside, "a", 1)
	lines := story(t, state.Of[record](l.outer, "apps/"), "")
	tells(t, lines, "a=1", "synced")
	l.cut()
	put(t, inside, "a", 2)
	put(t, inside, "a", 3)
	del(t, inside, "a")
	l.mend()
	tells(t, lines, "a=2", "a=3", "-a")
	put(t, inside, "b", 4)
	tells(t, lines, "b=4")
	silent(t, lines)
}

func TestFollow_readsAgainWhatWasCompactedAway(t *testing.T) {
	l := newLink(t)
	inside := state.Of[record](l.inner, "apps/")
	for _, key := range []string{"changed", "gone", "kept", "replaced"} {
		put(t, inside, key, 1)
	}
	lines := story(t, state.Of[record](l.outer, "apps/"), "")
	tells(t, lines, "changed=1", "gone=1", "kept=1", "replaced=1", "synced")
	l.cut()
	put(t, inside, "changed", 2)
	put(t, inside, "changed", 3)
	put(t, inside, "fleeting", 1)
	del(t, inside, "fleeting")
	del(t, inside, "gone")
	del(t, inside, "replaced")
	put(t, inside, "replaced", 2)
	l.compact(put(t, inside, "new", 1))
	l.mend()
	tells(t, lines, "-gone", "changed=3", "new=1", "replaced=2") // without the states in between
	put(t, inside, "kept", 2)
	tells(t, lines, "kept=2")
	silent(t, lines)
}
