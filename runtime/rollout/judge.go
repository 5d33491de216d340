package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

const (
	tooManyFailures = 3 // containers of one attempt
	longestPull     = 10 * time.Minute
)

// cause says what kind of failure a verdict is about.
type cause string

const (
	causeEnded    cause = "ended"    // containers end by themselves
	causeSick     cause = "sick"     // was healthy, and is no more
	causeLate     cause = "late"     // did not become healthy in time
	causeImage    cause = "image"    // cannot be pulled
	causeRefused  cause = "refused"  // the engine does not start it
	causeNoNode   cause = "no node"  // nowhere to run
	causeLeftover cause = "leftover" // older instances do not go away
	causeOverdue  cause = "overdue"  // a oneshot does not end
	causeHalted   cause = "halted"   // the engine, or somebody on it, stopped a oneshot
	causeLost     cause = "lost"     // a oneshot was begun, and the engine does not have it
)

// verdict is what judge thinks of an attempt.
type verdict struct {
	state  lain.SeenState
	reason string     // one line
	cause  cause      // of a failed one
	task   swarm.Task // the instance the failure is about; its ID is empty when there is none
	times  int        // how many containers failed
	after  time.Duration
	words  string // the engine's own
}

// count is how many instances are how far.
type count struct {
	current int // wanted, of the service's specification
	ready   int // of those: running, which is healthy, and has lasted
	older   int // wanted, of another specification
}

func (h have) count() (c count) {
	for _, t := range h.tasks {
		switch {
		case !wanted(t):
		case !h.current(t):
			c.older++
		default:
			c.current++
			if ready(t) {
				c.ready++
			}
		}
	}
	return c
}

// ready is an instance that the engine calls running and wants to run: its health check has let it settle.
func ready(t swarm.Task) bool { return running(t) && t.DesiredState == swarm.TaskStateRunning }

func (c count) serves(p lain.ProcSpec) bool {
	return c.ready == p.Instances && c.current == p.Instances && c.older == 0
}

// judge says where an attempt stands. clock is when its time began to run. It must not be asked while the
// engine's state is unknown.
func judge(want lain.ProcWant, h have, clock, now time.Time) verdict {
	if h.attempt() != want.Attempt {
		return verdict{state: lain.SeenRolling, reason: "not yet given to the engine"}
	}
	c := h.count()
	limit := timeToComeUp(want.Spec)
	switch failures := h.failures(); {
	case c.serves(want.Spec):
		return verdict{state: lain.SeenServing}
	case len(failures) >= tooManyFailures:
		return failed(failures[0], len(failures))
	case now.Sub(clock) > limit:
		return late(h, c, want.Spec, limit)
	}
	return verdict{state: lain.SeenRolling, reason: progress(h, c, want.Spec)}
}

// timeToComeUp is how long an instance has to become healthy.
func timeToComeUp(p lain.ProcSpec) time.Duration {
	return p.SetupTime + orDefault(p.Deadline, defaultDeadline)
}

// failed is about containers that ended.
func failed(t swarm.Task, times int) verdict {
	v := verdict{state: lain.SeenFailed, task: t, times: times, words: oneLine(t.Status.Err), cause: causeEnded}
	switch {
	case t.Status.State == swarm.TaskStateRejected && strings.Contains(t.Status.Err, "No such image"):
		v.cause = causeImage
	case t.Status.State == swarm.TaskStateRejected:
		v.cause = causeRefused
	case strings.Contains(t.Status.Err, "unhealthy container"):
		v.cause = causeSick
	}
	return v
}

// late is about the first instance that is not ready.
func late(h have, c count, p lain.ProcSpec, limit time.Duration) verdict {
	v := verdict{state: lain.SeenFailed, after: limit, cause: causeLate, times: len(h.failures())}
	v.task = h.firstUnready()
	v.words = oneLine(v.task.Status.Err)
	switch {
	case c.ready == p.Instances && c.older > 0:
		v.cause = causeLeftover
	case strings.Contains(v.words, "no suitable node"):
		v.cause = causeNoNode
	case v.task.Status.State == swarm.TaskStatePreparing:
		v.cause = causeImage
		v.words = "it takes too long"
	case v.times > 0 && !alive(v.task):
		old := v
		v = failed(h.failures()[0], old.times)
		v.after = limit
	}
	return v
}

func alive(t swarm.Task) bool {
	return t.Status.State == swarm.TaskStateStarting || t.Status.State == swarm.TaskStateRunning
}

// firstUnready is the one with the lowest number; the zero task when none is wanted.
func (h have) firstUnready() swarm.Task {
	var first swarm.Task
	for _, t := range h.tasks {
		if wanted(t) && h.current(t) && !ready(t) && (first.ID == "" || t.Slot < first.Slot) {
			first = t
		}
	}
	return first
}

// progress is one line for those who wait.
func progress(h have, c count, p lain.ProcSpec) string {
	line := fmt.Sprintf("%d of %d instances ready", c.ready, p.Instances)
	if t := h.firstUnready(); t.ID != "" {
		line += fmt.Sprintf(", instance %d is %s", t.Slot, t.Status.State)
		if t.Status.Err != "" {
			line += ": " + oneLine(t.Status.Err)
		}
	} else if c.older > 0 {
		line += fmt.Sprintf(", %d older ones are leaving", c.older)
	}
	if n := len(h.failures()); n > 0 {
		line += fmt.Sprintf(", %d failed: %s", n, oneLine(h.failures()[0].Status.Err))
	}
	return line
}

// pulling reports whether the attempt waits for its image only: its time does not run then, for a while.
func pulling(h have, now time.Time) bool {
	if len(h.failures()) > 0 || now.Sub(h.began()) > longestPull {
		return false
	}
	for _, t := range h.tasks {
		if wanted(t) && h.current(t) && t.Status.State == swarm.TaskStatePreparing {
			return true
		}
	}
	return false
}
