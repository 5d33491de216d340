package rollout

import (
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// How the engine is made to wait before it starts a proc's containers again, of which none runs because they end
// again and again. It waits itself, so it goes on trying while the server is away.
const (
	triesEach = 3                // ends of each instance before the next longer delay
	wellAfter = 30 * time.Second // that an instance has to run until nothing is held against its proc any more
)

// delays are what the engine waits from the end of a container to the start of its successor. The first is that
// of every proc which does not crash.
var delays = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}

// delayAfter is the delay of a proc with so many ends of all its instances together.
func delayAfter(ends, instances int) time.Duration {
	rounds := ends / max(1, instances)
	return delays[min(rounds/triesEach, len(delays)-1)]
}

// crashes is what is to be said of a proc's crashes now, from what was said last; nil where it does not crash, or not
// often enough. Ends up to the time from are not counted, and no ends make it one that crashes while an instance runs.
// How the last of them ended is for the caller to fill in.
func crashes(was *lain.Crashing, from time.Time, h have, instances int, now time.Time) *lain.Crashing {
	runs := h.runsSince()
	if instances <= 0 || ranWell(runs, now) || was == nil && !runs.IsZero() {
		return nil
	}
	next := lain.Crashing{}
	if was != nil {
		next, from = *was, was.Last
	}
	next.Runs = runs
	if ends := h.endsAfter(from); len(ends) > 0 {
		next = counted(next, ends)
	}
	next.Delay = delayAfter(next.Times, instances)
	if was == nil && next.Delay == delays[0] {
		return nil
	}
	next.Delay = max(next.Delay, delays[1]) // also where instances were added meanwhile
	return &next
}

// counted takes in ends, the newest first.
func counted(c lain.Crashing, ends []swarm.Task) lain.Crashing {
	if c.Since.IsZero() {
		c.Since = ends[len(ends)-1].Status.Timestamp
	}
	c.Times += len(ends)
	c.Last = ends[0].Status.Timestamp
	return c
}

func ranWell(since, now time.Time) bool { return !since.IsZero() && now.Sub(since) >= wellAfter }

// runsSince is since when the instance runs that has done so for the longest time; zero when none does.
func (h have) runsSince() (since time.Time) {
	for _, t := range h.tasks {
		if at := t.Status.Timestamp; ready(t) && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	return since
}

// endsAfter are this attempt's containers that ended by themselves after a time, the newest first.
func (h have) endsAfter(from time.Time) []swarm.Task {
	ends := slices.DeleteFunc(h.failures(), func(t swarm.Task) bool { return !t.Status.Timestamp.After(from) })
	slices.SortStableFunc(ends, func(a, b swarm.Task) int { return b.Status.Timestamp.Compare(a.Status.Timestamp) })
	return ends
}

// pause says how far the containers of a proc are of which none runs.
type pause string

const (
	atWork  pause = "at work" // one runs, or nothing is wanted
	rising  pause = "rising"  // one is on its way up
	waiting pause = "waiting" // all wait to be started, or were just now and cannot have settled
)

func (h have) pause(now time.Time) pause {
	p := atWork
	for _, t := range h.tasks {
		switch {
		case running(t):
			return atWork
		case !wanted(t):
		case alive(t) && now.Sub(t.Status.Timestamp) > settling:
			p = rising
		case p == atWork:
			p = waiting
		}
	}
	return p
}

// due reports whether the service is to be given another delay now, for which the engine replaces every task: it costs
// nothing that runs, and nothing that is on its way up unless one always is, as with several that start slowly.
// since is when another delay was found to be wanted.
func (h have) due(delay time.Duration, since, now time.Time, limit time.Duration) bool {
	switch h.pause(now) {
	case waiting:
		return h.delay() != delay
	case rising:
		return h.delay() != delay && !since.IsZero() && now.Sub(since) > limit
	}
	return false
}

// delay is the one that the service has now.
func (h have) delay() time.Duration {
	if h.service == nil {
		return delays[0]
	}
	return delayOf(h.service.Spec.TaskTemplate)
}

// delayFor is the delay that a specification has to have so that none of its instances that run is replaced: theirs.
func (h have) delayFor(spec string) time.Duration {
	for _, t := range h.tasks {
		if running(t) && wanted(t) && specOf(t.Spec) == spec {
			return delayOf(t.Spec)
		}
	}
	return delays[0]
}

func delayOf(t swarm.TaskSpec) time.Duration {
	if t.RestartPolicy == nil || t.RestartPolicy.Delay == nil {
		return delays[0]
	}
	return *t.RestartPolicy.Delay
}

func restartAfter(delay time.Duration) *swarm.RestartPolicy {
	return &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny, Delay: &delay}
}

// paced is a service's specification with another delay. The old task goes before the new one begins, or the two
// would crash beside each other. The container's label stays: it is the same specification but for the delay.
func paced(spec swarm.ServiceSpec, delay time.Duration) swarm.ServiceSpec {
	spec.TaskTemplate.RestartPolicy = restartAfter(delay)
	spec.UpdateConfig = updateConfig(swarm.UpdateOrderStopFirst)
	return spec
}
