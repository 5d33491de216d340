package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// OneshotLabel marks what is made for a oneshot proc, which may have the name of a proc that serves.
const OneshotLabel = "lain.oneshot"

// OneshotName is what the engine calls the service of a oneshot proc: <cluster>_<app>_<proc>_oneshot.
func (e *Engine) OneshotName(app lain.AppName, proc lain.ProcName) string {
	return clip(fmt.Sprintf("%s_%s_%s_oneshot", e.cluster, app, proc))
}

// OneshotLabels are those of a oneshot's service and its container.
func (e *Engine) OneshotLabels(app lain.AppName, proc lain.ProcName) map[string]string {
	labels := e.Labels(app, proc)
	labels[OneshotLabel] = "true"
	return labels
}

// IsOneshot reports whether labels are those of a oneshot proc.
func IsOneshot(labels map[string]string) bool { return labels[OneshotLabel] != "" }

// Oneshot finds the service of a oneshot proc; its errors are those of Service.
func (e *Engine) Oneshot(ctx context.Context, app lain.AppName, proc lain.ProcName) (swarm.Service, error) {
	return e.serviceNamed(ctx, e.OneshotName(app, proc))
}

// TaskLines calls fn for each line that one task wrote from a time on (zero: from the first), wherever it runs,
// each stream in its order. With follow it goes on until ctx ends, which is no error then; without, it returns
// behind the last line that there is. fn is never called twice at once; an error of it is returned.
func (e *Engine) TaskLines(ctx context.Context, task string, since time.Time, follow bool, fn func(LogLine) error) error {
	q := LogQuery{Since: since, Follow: follow}
	body, err := e.api.TaskLogs(ctx, task, q.options())
	if err == nil {
		defer body.Close()
		err = demultiplex(body, e.lines(task, false, fn), e.lines(task, true, fn))
	}
	if follow && ctx.Err() != nil {
		return nil
	}
	return explain("logs of task "+task, err)
}

func (e *Engine) lines(task string, stderr bool, fn func(LogLine) error) *entryWriter {
	return &entryWriter{line: func(l LogLine) error {
		l.Task, l.Stderr = task, stderr
		return fn(l)
	}}
}
