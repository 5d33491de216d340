package reconcile

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world notes what a loop did in it. Inside a bubble time stands still while anybody works.
type world struct {
	mu    sync.Mutex
	calls []call
	act   func(ctx context.Context, key string, nth int) (Result, error)
	began time.Time
}

type call struct {
	key string
	at  time.Duration
}

func (w *world) reconcile(ctx context.Context, key string) (Result, error) {
	w.mu.Lock()
	w.calls = append(w.calls, call{key, time.Since(w.began)})
	nth := 0
	for _, c := range w.calls {
		if c.key == key {
			nth++
		}
	}
	w.mu.Unlock()
	if w.act == nil {
		return Done, nil
	}
	return w.act(ctx, key, nth)
}

func (w *world) of(key string) (at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.key == key {
			at = append(at, c.at)
		}
	}
	return at
}

func (w *world) keys() (keys []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		keys = append(keys, c.key)
	}
	return keys
}

// run lets a loop live for the time that body takes.
func run(t *testing.T, l *Loop, body func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	synctest.Wait()
	body()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func after(d time.Duration) { time.Sleep(d); synctest.Wait() } // in a bubble this is exact

func TestLoop_foldsDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		l := New(Options{Name: "test"}, w.reconcile, nil)
		for range 5 {
			l.Enqueue("a")
			l.Enqueue("b")
		}
		run(t, l, func() {})
		if got := w.keys(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("reconciled %v", got)
		}
	})
}

func TestLoop_worksOnAKeyOnceAtATimeAndOnceMoreWhenAskedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy := map[string]int{}
		w := &world{began: time.Now()}
		w.act = func(_ context.Context, key string, _ int) (Result, error) {
			mu.Lock()
			busy[key]++
			if busy[key] > 1 {
				t.Errorf("%s is worked on twice at once", key)
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			busy[key]--
			mu.Unlock()
			return Done, nil
		}
		l := New(Options{Workers: 4}, w.reconcile, nil)
		run(t, l, func() {
			l.Enqueue("a")
			l.Enqueue("b")
			after(500 * time.Millisecond)
			for range 3 {
				l.Enqueue("a")
			}
			after(time.Minute)
		})
		if a, b := w.of("a"), w.of("b"); !slices.Equal(a, []time.Duration{0, time.Second}) || !slices.Equal(b, []time.Duration{0}) {
			t.Errorf("a at %v, b at %v", a, b)
		}
	})
}

func TestLoop_hasNoMoreThanItsWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		w.act = func(context.Context, string, int) (Result, error) { time.Sleep(time.Second); return Done, nil }
		l := New(Options{Workers: 2}, w.reconcile, nil)
		for _, key := range []string{"a", "b", "c", "d"} {
			l.Enqueue(key)
		}
		run(t, l, func() { after(time.Minute) })
		if c, d := w.of("c"), w.of("d"); c[0] != time.Second || d[0] != time.Second {
			t.Errorf("c at %v, d at %v", c, d)
		}
	})
}

func TestLoop_backsOffPerKeyAndForgetsFailuresOnSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		w.act = func(_ context.Context, key string, nth int) (Result, error) {
			if key == "bad" && nth != 13 {
				return After(time.Nanosecond), errors.New("no")
			}
			return After(3 * time.Hour), nil
		}
		l := New(Options{}, w.reconcile, nil)
		run(t, l, func() {
			l.Enqueue("bad")
			l.Enqueue("good")
			after(time.Hour)
			if got := w.of("bad"); len(got) != 13 || len(w.of("good")) != 1 {
				t.Fatalf("bad at %v, good at %v", got, w.of("good"))
			}
			l.Enqueue("bad") // fails again, as if for the first time
			after(MinBackoff)
		})
		at := w.of("bad")
		for i := 1; i < 13; i++ {
			most := min(MinBackoff<<(i-1), MaxBackoff)
			if pause := at[i] - at[i-1]; pause < most/2 || pause > most {
				t.Errorf("pause %d is %v, want %v..%v", i, pause, most/2, most)
			}
		}
		if pause := at[14] - at[13]; pause > MinBackoff {
			t.Errorf("the pause after a success and a failure is %v", pause)
		}
	})
}

func TestLoop_anEventCutsABackoffShortAndASweepDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		w.act = func(_ context.Context, _ string, nth int) (Result, error) {
			if nth == 1 {
				return After(time.Hour), nil
			}
			return Done, nil
		}
		list := func(context.Context) ([]string, error) { return []string{"a"}, nil }
		l := New(Options{Sweep: 10 * time.Minute}, w.reconcile, list)
		run(t, l, func() {
			after(30 * time.Minute)
			if at := w.of("a"); len(at) != 1 {
				t.Fatalf("reconciled at %v", at)
			}
			l.Enqueue("a")
			synctest.Wait()
			if at := w.of("a"); len(at) != 2 {
				t.Fatalf("reconciled at %v", at)
			}
		})
	})
}

func TestLoop_looksAgainAfterTheTimeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		w.act = func(_ context.Context, _ string, nth int) (Result, error) {
			if nth < 3 {
				return After(7 * time.Second), nil
			}
			return Done, nil
		}
		l := New(Options{}, w.reconcile, nil)
		run(t, l, func() {
			l.Enqueue("a")
			after(time.Hour)
		})
		if at := w.of("a"); !slices.Equal(at, []time.Duration{0, 7 * time.Second, 14 * time.Second}) {
			t.Errorf("reconciled at %v", at)
		}
	})
}

func TestLoop_sweepsAtTheStartAndThenSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		lists := 0
		list := func(context.Context) ([]string, error) {
			if lists++; lists == 2 {
				return nil, errors.New("the store is away")
			}
			return []string{"a", "b"}, nil
		}
		l := New(Options{Sweep: time.Minute}, w.reconcile, list)
		run(t, l, func() { after(59 * time.Second * 3) })
		at := w.of("a")
		if len(at) != 3 && len(at) != 4 {
			t.Fatalf("reconciled at %v, after %d passes", at, lists)
		}
		if at[0] != 0 || at[1] < 54*time.Second || at[1] > time.Minute+MinBackoff {
			t.Errorf("reconciled at %v", at)
		}
	})
}

func TestRun_waitsForItsWorkersAndStartsNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		finished := false
		w.act = func(ctx context.Context, key string, _ int) (Result, error) {
			if key == "later" {
				return After(time.Second), nil
			}
			<-ctx.Done()
			time.Sleep(time.Minute) // it tidies up
			finished = true
			return Done, ctx.Err()
		}
		l := New(Options{}, w.reconcile, nil)
		run(t, l, func() {
			l.Enqueue("later")
			synctest.Wait()
			l.Enqueue("slow")
			l.Enqueue("never")
			synctest.Wait()
		})
		if !finished {
			t.Error("Run returned before its worker")
		}
		l.Enqueue("too late")
		after(time.Hour)
		if got := w.keys(); !slices.Equal(got, []string{"later", "slow"}) {
			t.Errorf("reconciled %v", got)
		}
		if err := l.Run(t.Context()); err == nil {
			t.Error("it ran twice")
		}
		if _, kept := l.queue.keys["too late"]; kept {
			t.Error("a key was kept that nobody will take")
		}
	})
}

func TestQueue_forgetsKeysThatAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{began: time.Now()}
		l := New(Options{}, w.reconcile, nil)
		l.Enqueue("a")
		run(t, l, func() {
			l.queue.mu.Lock()
			defer l.queue.mu.Unlock()
			if len(l.queue.keys) != 0 {
				t.Errorf("the queue still knows %v", l.queue.keys)
			}
		})
	})
}
