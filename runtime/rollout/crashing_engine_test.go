//go:build engine

package rollout

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// gate is what containers in mode "once" ask at their start; while it is shut they end with code 4.
type gate struct {
	mu      sync.Mutex
	shut    bool
	asked   []time.Time // while it was shut
	address string
}

func (b *bench) gate() *gate {
	g := &gate{}
	g.address = b.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.shut {
			g.asked = append(g.asked, time.Now())
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	return g
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.asked = shut, nil
}

// longest is the longest time between two tries, and how many there were.
func (g *gate) longest() (gap time.Duration, tries int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := 1; i < len(g.asked); i++ {
		gap = max(gap, g.asked[i].Sub(g.asked[i-1]))
	}
	return gap, len(g.asked)
}

func (b *bench) crashing() *lain.Crashing {
	item, err := b.seen.Get(b.t.Context(), lain.ProcKey(b.app, "web"))
	ok(b.t, err)
	return item.Value.Crashing
}

// spec is what the engine has of the service.
func (b *bench) spec() swarm.ServiceSpec {
	s, err := b.engine.Service(b.t.Context(), b.app, "web")
	ok(b.t, err)
	return s.Spec
}

func (b *bench) delay() time.Duration { return delayOf(b.spec().TaskTemplate) }

// endAll ends every instance that answers.
func (b *bench) endAll() {
	b.t.Helper()
	for _, address := range b.addresses() {
		get(b.t, address, "/end")
	}
}

// crashLoop is a proc whose instances have served and crash until the gate is open again. It is tried every 30 s.
func (b *bench) crashLoop(change ...func(*lain.ProcSpec)) (*gate, lain.ProcWant) {
	b.t.Helper()
	g := b.gate()
	w := b.wish(1, "once", append(change, func(p *lain.ProcSpec) { p.Env = append(p.Env, "GATE=http://"+g.address+"/") })...)
	b.serves()
	b.until("endpoints", patience, func() bool { return len(b.addresses()) == w.Spec.Instances })
	g.set(true)
	b.endAll()
	begin := time.Now()
	b.until("the longest delay", 3*patience, func() bool { return b.delay() == delays[2] })
	gap, tries := g.longest()
	b.t.Logf("after %s and %d tries, the longest gap %s: %+v", time.Since(begin).Round(time.Second), tries, gap.Round(time.Millisecond), b.crashing())
	return g, w
}

// Tries get rarer, and whatever comes when they are over, nothing that runs is replaced for the delay's sake: neither
// when an instance has run well, nor by a wish for the same, nor by a release that fails and the return behind it.
func TestEngine_ACrashLoopIsPacedAndCostsNothingThatRuns(t *testing.T) {
	b := start(t)
	g, w := b.crashLoop()
	c := b.crashing()
	if c == nil || c.Times < 12 || c.ExitCode == nil || *c.ExitCode != 4 || c.Reason != "ended with exit code 4" || c.Delay != delays[2] || !c.Runs.IsZero() {
		t.Fatalf("%+v", c)
	}
	b.stop()
	b.run()
	b.until("the new server counts on", 3*patience, func() bool {
		now := b.crashing()
		return now != nil && now.Times >= c.Times+2 && now.Since.Equal(c.Since)
	})
	b.until("a gap of more than ten seconds", patience, func() bool { gap, _ := g.longest(); return gap > 10*time.Second })

	g.set(false)
	b.until("two endpoints", patience, func() bool { return len(b.addresses()) == 2 })
	guard := b.guard()
	b.until("it crashes no more", patience, func() bool { return b.crashing() == nil })

	w.Spec.Instances, w.Attempt = 3, b.next()
	b.want(w)
	b.serves()
	if spec := b.spec(); delayOf(spec.TaskTemplate) != delays[2] || spec.UpdateConfig.Order != swarm.UpdateOrderStartFirst {
		t.Errorf("the service of the same containers: delay %s, %s", b.delay(), spec.UpdateConfig.Order)
	}
	b.wish(2, "exit")
	b.fails()
	w.Attempt = b.next()
	b.want(w)
	b.serves()
	if guard.stop(); len(guard.lost) > 0 {
		t.Error(guard.lost)
	}
	if order := b.spec().UpdateConfig.Order; order != swarm.UpdateOrderStartFirst {
		t.Errorf("after the return: %s", order)
	}
	b.wish(3, "ok")
	b.serves()
	if d := b.delay(); d != delays[0] {
		t.Errorf("the next release has a delay of %s", d)
	}
}

// next is the next attempt.
func (b *bench) next() int {
	b.attempt++
	return b.attempt
}

func (b *bench) want(w lain.ProcWant) {
	b.t.Helper()
	_, err := b.wants.Put(b.t.Context(), w.Key(), w)
	ok(b.t, err)
}

// The same without the crashes: instances that were made with the longest delay run, and a wish for more of them comes.
func TestEngine_AWishKeepsTheDelayOfWhatRuns(t *testing.T) {
	b := start(t)
	w := b.wish(1, "ok")
	b.serves()
	b.until("two endpoints", patience, func() bool { return len(b.addresses()) == 2 })
	before := b.addresses()
	b.stop()
	s, err := b.engine.Service(t.Context(), b.app, "web")
	ok(t, err)
	ok(t, b.engine.UpdateService(t.Context(), s, paced(s.Spec, delays[2]), ""))
	b.until("all run with the longest delay", patience, func() bool {
		tasks, err := b.engine.Tasks(t.Context(), b.app, "web")
		ok(t, err)
		n := 0
		for _, t := range tasks {
			if ready(t) && delayOf(t.Spec) == delays[2] {
				n++
			}
		}
		return n == 2 && len(b.tasks()) == 2
	})
	b.run()
	b.until("two other endpoints", patience, func() bool { now := b.addresses(); return len(now) == 2 && now[0] != before[0] })
	guard := b.guard()
	w.Spec.Instances, w.Attempt = 3, b.next()
	b.want(w)
	b.serves()
	if guard.stop(); len(guard.lost) > 0 {
		t.Error(guard.lost)
	}
	if spec := b.spec(); delayOf(spec.TaskTemplate) != delays[2] || spec.UpdateConfig.Order != swarm.UpdateOrderStartFirst {
		t.Errorf("the service: delay %s, %s", b.delay(), spec.UpdateConfig.Order)
	}
}

// Once an instance has run well the first delay is back, although the instance itself was made with the last one.
func TestEngine_WhoHasRunWellIsStartedAgainAtOnce(t *testing.T) {
	b := start(t)
	g, _ := b.crashLoop(instances(1))
	g.set(false)
	b.until("it crashes no more", patience, func() bool { return b.crashing() == nil && len(b.addresses()) == 1 })
	before := b.only().Task
	begin := time.Now()
	b.endAll()
	b.until("another one serves", patience, func() bool { now := b.only(); return now.Task != before && now.Address != "" })
	t.Logf("another one serves after %s", time.Since(begin).Round(10*time.Millisecond))
	if d := b.delay(); d != delays[0] || b.crashing() != nil {
		t.Errorf("the delay is %s, crashing %+v", d, b.crashing())
	}
}

// only is the newest instance of a proc that wants one.
func (b *bench) only() lain.InstanceSeen {
	item, err := b.seen.Get(b.t.Context(), lain.ProcKey(b.app, "web"))
	ok(b.t, err)
	if len(item.Value.Instances) == 0 {
		return lain.InstanceSeen{}
	}
	return item.Value.Instances[0]
}
