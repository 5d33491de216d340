package rollout

import (
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

const (
	rollingEvery = 100 * time.Millisecond // while something moves
	idleEvery    = time.Second            // the one look at everything
	pacingEvery  = 250 * time.Millisecond // while another delay waits for what is on its way up
	drainFor     = 500 * time.Millisecond // from no endpoints to no service, so that routers can follow
	nudgeAfter   = 2 * time.Second
	retreatFor   = 10 * time.Second // how long a retreat is waited for before the wish is made anyway
	mostFailures = 50
)

// action is the one next thing to do to the engine, or to the records of a proc that is not wanted.
type action string

const (
	keep     action = "keep"     // nothing to do
	create   action = "create"   // there is no service
	update   action = "update"   // it is not of this attempt, or not of this size
	nudge    action = "nudge"    // the engine stopped half-way: it has to look again
	pace     action = "pace"     // it crashes, or does so no more: the engine has to wait longer, or shorter
	withdraw action = "withdraw" // take the endpoints back
	drain    action = "drain"    // wait until routers have noticed
	remove   action = "remove"   // the service
	ending   action = "ending"   // wait for its containers
	forget   action = "forget"   // nothing is left but records
)

// memory is what a controller remembers of a proc between two looks. Losing it costs time only.
type memory struct {
	attempt   int       // what follows is about this attempt
	clock     time.Time // when its time began to run, if later than in the service's label
	refusals  int       // times that the engine or a registry refused to take it
	refused   time.Time // the last of them
	nudged    time.Time
	retreated time.Time    // when the service went back to what runs, for this attempt
	withdrawn time.Time    // when the endpoints were taken back
	away      bool         // the engine was, at the last look
	failures  []swarm.Task // of this attempt so far, at most mostFailures: the engine forgets them
	well      time.Time    // ends up to then are no crashes: it had its verdict, or an instance had run well
	unpaced   time.Time    // since when none runs and another delay is wanted than the service has; zero: neither
}

// decide is the next action for a proc that is wanted. gaveUp: this attempt has failed.
func decide(want lain.ProcWant, h have, gaveUp bool, m memory, now time.Time) action {
	applied := h.attempt() == want.Attempt
	switch {
	case gaveUp && !applied:
		return keep // what served before still does; the next attempt is somebody else's to make
	case h.service == nil:
		return create
	case !applied, h.replicas() != size(want, h):
		return update
	case stuck(want, h, now) && now.Sub(m.nudged) > nudgeAfter:
		return nudge
	}
	return keep
}

// stuck: every new instance is ready, but the engine paused (a first container failed) and leaves older ones,
// or one too many, beside them. As long as one of them is not ready the engine must not be made to look: of
// several in a slot it keeps any that it wants to run, whether it does or not.
func stuck(want lain.ProcWant, h have, now time.Time) bool {
	c := h.count()
	if c.older == 0 && c.current <= max(0, want.Spec.Instances) || c.ready < max(c.current, want.Spec.Instances) || now.Sub(h.began()) < nudgeAfter {
		return false
	}
	s := h.service.UpdateStatus
	return s == nil || s.State != swarm.UpdateStateUpdating
}

// size is how many instances the service is to have now. It becomes smaller in a step of its own, after the wish
// was given to the engine and when what is to stay stands alone: while it updates, Swarm takes the slots that hold
// two tasks away first (replicated/slot.go, slotsByIndex), and those are the ones with the old instances that
// serve. So a return to two instances from five that fail would have lost the two.
func size(want lain.ProcWant, h have) int {
	n := max(0, want.Spec.Instances)
	if n == 0 || h.attempt() == want.Attempt && h.solid() >= n {
		return n
	}
	return max(n, h.replicas())
}

// solid is how many slots hold nothing but a ready instance of the service's specification; none as long as any
// instance that runs shares its slot.
func (h have) solid() (n int) {
	held := map[int]int{}
	for _, t := range h.tasks {
		if wanted(t) {
			held[t.Slot]++
		}
	}
	for _, t := range h.tasks {
		switch {
		case !ready(t):
		case held[t.Slot] > 1:
			return 0
		case h.current(t):
			n++
		}
	}
	return n
}

// retreat says whether a service must go back to the specification of the instances that run before it is given
// the next one. It must where another attempt's container fails beside one that runs. When such a container ends
// in the moment of an update, Swarm makes its successor of the new specification at once (restart.Supervisor's
// Restart takes the service as it is now); its updater, which looks a moment later, finds a task of the new
// specification in the slot, takes the slot for updated, and stops the instance that runs (Updater.worker and
// useExistingTask) although the other has not even started. After a retreat the failing ones are not wanted any
// more, and a successor of the running specification harms nobody: the one that runs is kept.
//
// wait: the service has gone back, and the failing ones are still being told.
func retreat(h have, next string, m memory, now time.Time) (back, wait bool) {
	runs := h.beset(next)
	if runs == "" || !m.retreated.IsZero() && now.Sub(m.retreated) > retreatFor {
		return false, false
	}
	if runs == specOf(h.service.Spec.TaskTemplate) {
		return false, true
	}
	// Where the engine's memory of one specification is of another one, the wish is made as it is.
	return h.service.PreviousSpec != nil && specOf(h.service.PreviousSpec.TaskTemplate) == runs, false
}

// beset is the specification of an instance that runs and has one of another specification beside it, in its
// slot, which does not; "" where there is none, or where it is next itself.
func (h have) beset(next string) string {
	for _, t := range h.tasks {
		if !wanted(t) || !running(t) || specOf(t.Spec) == next {
			continue
		}
		for _, o := range h.tasks {
			if o.Slot == t.Slot && wanted(o) && !running(o) && specOf(o.Spec) != specOf(t.Spec) {
				return specOf(t.Spec)
			}
		}
	}
	return ""
}

// dismantle is the next action for a proc that is not wanted any more: endpoints first, service last.
func dismantle(h have, endpoints bool, m memory, now time.Time) action {
	switch {
	case endpoints:
		return withdraw
	case h.service != nil && now.Sub(m.withdrawn) < drainFor:
		return drain
	case h.service != nil:
		return remove
	case len(h.tasks) > 0:
		return ending
	}
	return forget
}
