package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/redact"
	"lain.internal/lain/state/reconcile"
)

// publish writes endpoints, then the verdict, each only where it differs from what is recorded, and says
// when to look again.
func (c *Controller) publish(ctx context.Context, j *job, v verdict) (reconcile.Result, error) {
	if err := c.publishEndpoints(ctx, j); err != nil {
		return reconcile.Done, err
	}
	next := lain.ProcSeen{
		App: j.app, Proc: j.proc, Release: j.want.Release, Attempt: j.want.Attempt,
		State: v.state, Reason: v.reason, Instances: j.have.instances(), Begun: j.begun(), Crashing: j.crashing,
	}
	switch {
	case j.judged():
		next.State, next.Failure, next.Reason = j.seen.State, j.seen.Failure, j.afterwards(v)
	case v.state == lain.SeenFailed:
		f := c.withoutSecrets(ctx, j, failureOf(*j.want, v, c.evidence(ctx, v)))
		next.Failure, next.Reason = &f, f.Sentence
	}
	if err := c.writeSeen(ctx, j, next); err != nil {
		return reconcile.Done, err
	}
	if next.State == lain.SeenRolling {
		return reconcile.After(rollingEvery), nil
	}
	if j.paceSoon() {
		return reconcile.After(pacingEvery), nil
	}
	if next.Crashing != nil || next.State == lain.SeenServing && v.state != lain.SeenServing {
		return reconcile.After(idleEvery), nil
	}
	return reconcile.Done, nil
}

// withoutSecrets takes the values of the proc's secrets out of what its container said. Where they cannot be asked
// for, nothing that it said is kept.
func (c *Controller) withoutSecrets(ctx context.Context, j *job, f lain.Failure) lain.Failure {
	if len(j.want.Spec.Secrets) == 0 && j.want.Spec.Config == nil || c.options.Secrets == nil {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, slowestAnswer)
	defer cancel()
	values, err := c.options.Secrets.Values(ctx, j.app, []lain.ProcSpec{j.want.Spec})
	if err != nil {
		c.log.Warn("what a failed container said is withheld: its secrets are not known now", "proc", j.key, "error", err)
		f.LogTail, f.LastProbe = []string{"(withheld: the vault is away, and this may hold secrets; see: logs " + string(j.app) + ")"}, ""
		return f
	}
	r := redact.New(values)
	for i, line := range f.LogTail {
		f.LogTail[i] = r.Text(line)
	}
	f.LastProbe = r.Text(f.LastProbe)
	return f
}

// afterwards is the reason of an attempt that has its verdict: that of a failure stays.
func (j *job) afterwards(v verdict) string {
	if j.seen.State == lain.SeenFailed {
		return j.seen.Reason
	}
	if v.state == lain.SeenServing {
		return ""
	}
	return progress(j.have, j.have.count(), j.want.Spec)
}

func (c *Controller) writeSeen(ctx context.Context, j *job, next lain.ProcSeen) error {
	next.At = j.now
	if j.seen != nil {
		last := *j.seen
		last.At = next.At
		if same(last, next) {
			return nil
		}
	}
	if j.seen == nil || j.seen.State != next.State || j.seen.Attempt != next.Attempt {
		c.log.Info("verdict", "proc", j.key, "release", next.Release, "attempt", next.Attempt, "state", string(next.State), "reason", next.Reason)
	}
	if _, err := c.seen.Put(ctx, j.key, next); err != nil {
		return err
	}
	j.seen = &next
	return nil
}

func (c *Controller) publishEndpoints(ctx context.Context, j *job) error {
	next := lain.Endpoints{App: j.app, Proc: j.proc, Addresses: j.have.addresses()}
	if j.endpoints == nil && len(next.Addresses) == 0 || j.endpoints != nil && same(*j.endpoints, next) {
		return nil
	}
	if _, err := c.endpoints.Put(ctx, j.key, next); err != nil {
		return err
	}
	j.endpoints = &next
	return nil
}

// same compares two records as they are stored.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// evidence asks the engine about a failed task; what cannot be found is left out.
func (c *Controller) evidence(ctx context.Context, v verdict) evidence {
	e := c.remains(ctx, v)
	if v.task.Status.ContainerStatus == nil {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var err error
	if e.tail, err = c.engine.ContainerTail(ctx, v.task.Status.ContainerStatus.ContainerID, tailLines); err != nil {
		e.tail, err = c.engine.TaskTail(ctx, v.task.ID, tailLines)
	}
	if err != nil {
		c.log.Warn("a failed container's output is lost", "task", v.task.ID, "error", err)
	}
	return e
}

// remains is the evidence without what the container said.
func (c *Controller) remains(ctx context.Context, v verdict) (e evidence) {
	if v.task.Status.ContainerStatus == nil {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	e.exitCode = v.task.Status.ContainerStatus.ExitCode
	if found, err := c.ended(ctx, v.task.Status.ContainerStatus.ContainerID); err == nil {
		e.container = &found
	}
	return e
}

// killed is the exit code of a container that SIGKILL ended.
const killed = 128 + 9

// The engine learns of a container's end and of its lack of memory in two ways, and the second may take longer.
const (
	memoryTries = 5
	memoryEvery = 200 * time.Millisecond
)

// ended looks at a container, once more for a while where the kernel may have ended it for want of memory.
func (c *Controller) ended(ctx context.Context, id string) (found engine.Container, err error) {
	for range memoryTries {
		found, err = c.engine.Container(ctx, id)
		if err != nil || found.Running || found.ExitCode != killed || found.OOMKilled {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, nil
		case <-time.After(memoryEvery):
		}
	}
	return found, err
}
