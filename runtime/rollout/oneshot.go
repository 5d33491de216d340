package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// startLimit is how long the engine may take to start a oneshot, its image's way apart.
const startLimit = 2 * time.Minute

// oneshotSpec is the service that a wish for a oneshot proc means: one container that runs once and is not
// started again, whatever becomes of it. Nobody reaches it by its name, which may be that of a proc that serves.
//
// It is not a job of Swarm's: of a job that is removed, engine 20.10 leaves the container running, and one that
// failed is started again when the manager is. A replicated service whose tasks are never restarted has neither
// fault.
func oneshotSpec(want lain.ProcWant, s surroundings, now time.Time) swarm.ServiceSpec {
	want.Spec.Port, want.Spec.Instances = 0, 1
	spec := serviceSpec(want, s, now)
	c := spec.TaskTemplate.ContainerSpec
	c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	c.Args[0] = "once" // an engine that stops stops its containers, and some programs end with 0 then
	spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
	for i := range spec.TaskTemplate.Networks {
		spec.TaskTemplate.Networks[i].Aliases = nil
	}
	return spec
}

func oneshotTask(t swarm.Task) bool {
	return t.Spec.ContainerSpec != nil && engine.IsOneshot(t.Spec.ContainerSpec.Labels)
}

// decideOneshot is the next action for a oneshot that is wanted and has no verdict. begun: the engine was asked
// for it before. It never asks twice, whatever the engine has now; and never while an older one still runs.
func decideOneshot(want lain.ProcWant, h have, begun bool) action {
	switch {
	case begun, h.attempt() == want.Attempt:
		return keep
	case h.service != nil:
		return remove
	case len(h.tasks) > 0:
		return ending
	}
	return create
}

// judgeOneshot says where a oneshot stands. clock is when its time to start began to run. It must not be asked
// while the engine's state is unknown.
func judgeOneshot(want lain.ProcWant, h have, begun bool, clock, now time.Time) verdict {
	t := h.newest()
	switch {
	case h.attempt() != want.Attempt && begun:
		return verdict{state: lain.SeenFailed, cause: causeLost}
	case h.attempt() != want.Attempt:
		return verdict{state: lain.SeenRolling, reason: "not yet given to the engine"}
	case t.Status.State == swarm.TaskStateComplete:
		return verdict{state: lain.SeenServing}
	case t.Status.State == swarm.TaskStateFailed, t.Status.State == swarm.TaskStateRejected:
		return failed(t, 1)
	case halted(t):
		return verdict{state: lain.SeenFailed, cause: causeHalted, task: t}
	case now.Sub(h.began()) > lain.OneshotLimit:
		return verdict{state: lain.SeenFailed, cause: causeOverdue, task: t, after: lain.OneshotLimit}
	case !alive(t) && now.Sub(clock) > startLimit:
		return notStarted(t)
	}
	return verdict{state: lain.SeenRolling, reason: fmt.Sprintf("%s %s", orWaiting(t), oneLine(t.Status.Err))}
}

// newest is the last task of the service as it is; the zero task when there is none.
func (h have) newest() (last swarm.Task) {
	for _, t := range h.tasks {
		if h.current(t) && (last.ID == "" || t.CreatedAt.After(last.CreatedAt)) {
			last = t
		}
	}
	return last
}

// halted reports whether a task was ended from outside.
func halted(t swarm.Task) bool {
	return slices.Contains([]swarm.TaskState{swarm.TaskStateShutdown, swarm.TaskStateOrphaned, swarm.TaskStateRemove}, t.Status.State)
}

func notStarted(t swarm.Task) verdict {
	v := verdict{state: lain.SeenFailed, task: t, cause: causeRefused, words: oneLine(t.Status.Err)}
	switch {
	case strings.Contains(v.words, "no suitable node"):
		v.cause = causeNoNode
	case t.Status.State == swarm.TaskStatePreparing:
		v.cause, v.words = causeImage, "it takes too long"
	case v.words == "":
		v.words = fmt.Sprintf("it is %s for too long", orWaiting(t))
	}
	return v
}

func orWaiting(t swarm.Task) string {
	if t.ID == "" {
		return "waiting"
	}
	return string(t.Status.State)
}
