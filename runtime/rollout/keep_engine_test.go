//go:build engine

package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

// guard looks, all the time, that none of these tasks is told to stop and none of these endpoints leaves.
type guard struct {
	stop func()
	lost []string
}

// guard watches what runs and answers now. Call its stop before reading lost.
func (b *bench) guard() *guard {
	tasks, addresses := b.tasks(), b.addresses()
	g := &guard{}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for begin := time.Now(); ctx.Err() == nil && len(g.lost) == 0; time.Sleep(20 * time.Millisecond) {
			if now := b.tasks(); !contains(now, tasks) {
				g.lost = append(g.lost, fmt.Sprintf("after %s: tasks %v of %v", time.Since(begin), now, tasks))
			}
			if now := b.addresses(); !contains(now, addresses) {
				g.lost = append(g.lost, fmt.Sprintf("after %s: endpoints %v of %v", time.Since(begin), now, addresses))
			}
		}
	})
	g.stop = func() { cancel(); watching.Wait() }
	return g
}

// One failing release and the return behind it, as the pipeline makes them, and at once the next: whatever the
// kind of failure, no instance of the release that serves is told to stop, and none loses its endpoint.
func TestEngine_OneFailureLosesNoInstance(t *testing.T) {
	b := start(t)
	good := b.wish(1, "ok", instances(3))
	b.serves()
	before := b.tasks()
	for i, bad := range []struct {
		mode      string
		instances int
	}{{"flash", 3}, {"exit", 3}, {"oom", 3}, {"flash", 3}, {"sick", 3}, {"exit", 5}, {"exit", 1}} {
		mode := bad.mode
		g := b.guard()
		b.wish(i+2, mode, instances(bad.instances), func(p *lain.ProcSpec) {
			if mode == "sick" {
				p.Deadline = 4 * time.Second
			}
		})
		b.fails()
		b.attempt++
		good.Attempt = b.attempt
		_, err := b.wants.Put(t.Context(), "hello/web", good)
		ok(t, err)
		b.serves()
		g.stop()
		if len(g.lost) > 0 {
			t.Errorf("%d in mode %s: %v", bad.instances, mode, g.lost)
		}
		if after := b.tasks(); !slices.Equal(after, before) {
			t.Errorf("%s: the return restarted instances: %v became %v", mode, before, after)
			before = after
		}
	}
}
