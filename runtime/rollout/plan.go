package rollout

import (
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

const (
	rollingEvery = 100 * time.Millisecond // while something moves
	idleEvery    = time.Second            // the one look at everything
	drainFor     = 500 * time.Millisecond // from no endpoints to no service, so that routers can follow
	nudgeAfter   = 2 * time.Second
	mostFailures = 50
)

// action is the one next thing to do to the engine, or to the records of a proc that is not wanted.
type action string

const (
	keep     action = "keep"     // nothing to do
	create   action = "create"   // there is no service
	update   action = "update"   // it is not of this attempt, or not of this size
	nudge    action = "nudge"    // the engine stopped half-way: it has to look again
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
	withdrawn time.Time    // when the endpoints were taken back
	away      bool         // the engine was, at the last look
	failures  []swarm.Task // of this attempt so far, at most mostFailures: the engine forgets them
}

// decide is the next action for a proc that is wanted. gaveUp: this attempt has failed.
func decide(want lain.ProcWant, h have, gaveUp bool, m memory, now time.Time) action {
	applied := h.attempt() == want.Attempt
	switch {
	case gaveUp && !applied:
		return keep // what served before still does; the next attempt is somebody else's to make
	case h.service == nil:
		return create
	case !applied, h.replicas() != max(0, want.Spec.Instances):
		return update
	case stuck(want, h, now) && now.Sub(m.nudged) > nudgeAfter:
		return nudge
	}
	return keep
}

// stuck: every new instance is ready, but the engine paused (a first container failed) and leaves the older
// ones beside them.
func stuck(want lain.ProcWant, h have, now time.Time) bool {
	c := h.count()
	if c.older == 0 || c.ready < want.Spec.Instances || now.Sub(h.began()) < nudgeAfter {
		return false
	}
	s := h.service.UpdateStatus
	return s == nil || s.State != swarm.UpdateStateUpdating
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
