//go:build engine

package rollout

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// history is every write of the endpoints, from where it begins.
type history struct {
	mu     sync.Mutex
	writes [][]string
	stop   func()
}

func (b *bench) history() *history {
	h := &history{}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		_ = b.ends.Follow(ctx, lain.ProcKey(b.app, "web"), func(c state.Change[lain.Endpoints]) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if !c.Synced {
				h.writes = append(h.writes, c.Value.Addresses)
			}
			return nil
		})
	})
	h.stop = func() { cancel(); following.Wait() }
	b.t.Cleanup(h.stop)
	return h
}

func (h *history) all() [][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.writes)
}

// patient instances are not given up for their probes.
func patient(p *lain.ProcSpec) {
	p.Check = &lain.HealthCheck{Timeout: time.Second, Interval: time.Second, Retries: 100}
}

// An instance leaves with its first failed probe and is back with the next good one; where none is well all stay.
// Neither a server that starts anew nor an engine that was away changes that, and each change is one write.
func TestEngine_TheUnwellGetNoRequestsWhileOneIsWell(t *testing.T) {
	b := start(t)
	b.wish(1, "ok", patient)
	b.serves()
	b.until("two endpoints", patience, func() bool { return len(b.addresses()) == 2 })
	both, tasks, history := b.addresses(), b.tasks(), b.history()
	first, second := both[0], both[1]
	var want [][]string
	becomes := func(what string, addresses ...string) {
		t.Helper()
		want = append(want, addresses)
		begin := time.Now()
		b.until(what, patience, func() bool { return len(history.all()) >= len(want) })
		t.Logf("%s after %s", what, time.Since(begin).Round(10*time.Millisecond))
	}
	becomes("at first", both...)
	get(t, first, "/fall-sick")
	becomes("the first is unwell", second)
	b.until("ps says so", patience, func() bool { return b.states() == "running unwell" })
	get(t, second, "/fall-sick")
	becomes("both are: both stay", both...)
	get(t, second, "/recover")
	becomes("the second is well again", second)

	b.stop()
	b.run()
	get(t, second, "/fall-sick")
	becomes("the new server knows of the first, and now of both", both...)
	get(t, second, "/recover")
	becomes("the second is well again", second)

	b.wire.away()
	get(t, first, "/recover")
	get(t, second, "/fall-sick")
	for _, address := range both { // the engine has the answer to the first question when it asks the second one
		b.until("it was asked twice", patience, func() bool { return !slices.Contains([]string{"0", "1"}, get(t, address, "/asked")) })
	}
	b.wire.back()
	becomes("what changed while the engine was away", first)
	get(t, second, "/recover")
	becomes("all are well", both...)
	b.until("ps says so", patience, func() bool { return b.states() == "running running" })

	if got := history.all(); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the endpoints were\n%v, want\n%v", got, want)
	}
	if after := b.tasks(); !slices.Equal(after, tasks) {
		t.Errorf("instances were replaced: %v became %v", tasks, after)
	}
}

// states are what is seen of the instances, sorted.
func (b *bench) states() string {
	item, err := b.seen.Get(b.t.Context(), lain.ProcKey(b.app, "web"))
	ok(b.t, err)
	var states []string
	for _, i := range item.Value.Instances {
		states = append(states, i.State)
	}
	slices.Sort(states)
	return strings.Join(states, " ")
}
