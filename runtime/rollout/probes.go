package rollout

import (
	"context"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

const (
	listenAgain   = time.Second   // after the engine broke off
	longestLookup = time.Second   // of one command: events wait meanwhile
	longestSilent = slowestAnswer // before the first look at procs does without probes
)

// probes is what the health probes in our containers said last. The engine tells of the end of each, as of that of any
// command that is run in a container; other commands say nothing here. It is safe for concurrent use.
type probes struct {
	mu     sync.Mutex
	unwell map[string]string // container whose last probe failed, to the key of its proc
	known  chan struct{}     // closed once the engine was asked for the first time
	once   sync.Once
}

func newProbes() *probes {
	return &probes{unwell: map[string]string{}, known: make(chan struct{})}
}

// note takes an event in, and returns the key of the proc that has changed by it; "" for none. isProbe says whether a
// command is a probe; it is asked only where that matters, not for each good answer.
func (p *probes) note(e engine.Event, isProbe func(exec string) bool) string {
	if e.Kind == engine.ContainerDied {
		p.forget(e.Container)
		return ""
	}
	failed := e.ExitCode != 0
	if p.isUnwell(e.Container) == failed || !isProbe(e.Exec) {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.set(e.Container, keyOf(e.Labels), failed)
}

func (p *probes) forget(container string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unwell, container)
}

func (p *probes) isUnwell(container string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, is := p.unwell[container]
	return is
}

// set returns the key if that is news; mu is held.
func (p *probes) set(container, key string, unwell bool) string {
	if _, was := p.unwell[container]; was == unwell {
		return ""
	}
	if unwell {
		p.unwell[container] = key
	} else {
		delete(p.unwell, container)
	}
	return key
}

// replace takes in which containers are unwell now, with their labels, and returns the keys of procs that have changed.
func (p *probes) replace(sick map[string]map[string]string) (changed []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for container, key := range p.unwell {
		if _, still := sick[container]; !still {
			changed = append(changed, p.set(container, key, false))
		}
	}
	for container, labels := range sick {
		if key := p.set(container, keyOf(labels), true); key != "" {
			changed = append(changed, key)
		}
	}
	return changed
}

// unwellOf are those of the tasks' containers that are unwell.
func (p *probes) unwellOf(tasks []swarm.Task) containers {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := containers{}
	for _, t := range tasks {
		if _, unwell := p.unwell[containerOf(t)]; unwell {
			set[containerOf(t)] = true
		}
	}
	return set
}

// await waits until the engine has been asked once, or does not answer for long.
func (p *probes) await(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-p.known:
	case <-time.After(longestSilent):
	}
}

func (p *probes) asked() { p.once.Do(func() { close(p.known) }) }

// watchProbes follows the probes until ctx ends, and has those procs looked at of which an instance became unwell
// or well. After each break all is read anew. What an event that was lost said, the next probe says again.
func (c *Controller) watchProbes(ctx context.Context) error {
	broken := false
	for {
		err := c.engine.Events(ctx, c.now(), func() error {
			err := c.rereadProbes(ctx)
			broken = broken && err != nil
			return err
		}, func(e engine.Event) {
			c.enqueueAny(c.probes.note(e, func(exec string) bool { return c.isProbe(ctx, exec) }))
		})
		c.probes.asked()
		if ctx.Err() == nil && !broken {
			c.log.Warn("the engine tells of no probes for a moment", "error", err)
		}
		broken = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(listenAgain):
		}
	}
}

func (c *Controller) rereadProbes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, slowestAnswer)
	defer cancel()
	sick, err := c.engine.Sick(ctx)
	if err != nil {
		return err
	}
	c.enqueueAny(c.probes.replace(sick)...)
	c.probes.asked()
	return nil
}

// isProbe reports whether a command was the helper's probe. One that the engine does not know any more was none: the
// next one says the same.
func (c *Controller) isProbe(ctx context.Context, exec string) bool {
	ctx, cancel := context.WithTimeout(ctx, longestLookup)
	defer cancel()
	argv, err := c.engine.ExecCommand(ctx, exec)
	return err == nil && len(argv) > 1 && argv[0] == lain.HelperPath && argv[1] == "probe"
}

func (c *Controller) enqueueAny(keys ...string) {
	for _, key := range keys {
		if key != "" {
			c.loop.Enqueue(key)
		}
	}
}
