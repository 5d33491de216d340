package engine

import (
	"context"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// TaskEnd is how a task of ours ended.
type TaskEnd struct {
	Ran      bool // its container did run, so that there is an exit code
	ExitCode int
	OOM      bool   // the kernel ended it for want of memory; known on this engine's own machine only
	Reason   string // one line, in the engine's words
}

// TaskEnd asks for the end of a task. ErrNotFound when it is forgotten, or is not ours.
func (e *Engine) TaskEnd(ctx context.Context, id string) (TaskEnd, error) {
	t, _, err := e.api.TaskInspectWithRaw(ctx, id)
	if err != nil {
		return TaskEnd{}, explain("inspect task "+id, err)
	}
	if t.Spec.ContainerSpec == nil || !e.ours(t.Spec.ContainerSpec.Labels) {
		return TaskEnd{}, ErrNotFound
	}
	end := TaskEnd{Reason: strings.Join(strings.Fields(t.Status.Err), " ")}
	ended := t.Status.State == swarm.TaskStateComplete || t.Status.State == swarm.TaskStateFailed
	if s := t.Status.ContainerStatus; ended && s != nil && s.ContainerID != "" {
		end.Ran, end.ExitCode = true, s.ExitCode
		if c, err := e.Container(ctx, s.ContainerID); err == nil {
			end.OOM = c.OOMKilled
		}
	}
	return end, nil
}
