package rollout

import (
	"context"
	"errors"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state/reconcile"
)

// longRun is when a oneshot is no longer looked at all the time.
const longRun = 10 * time.Second

// begun is when the engine was asked for this wish's oneshot; zero when it was not.
func (j *job) begun() time.Time {
	if j.seen == nil || j.want == nil || j.seen.Attempt != j.want.Attempt {
		return time.Time{}
	}
	return j.seen.Begun
}

// runOnce takes one step with a oneshot that is wanted. After its verdict nothing is done any more; its service
// goes with the wish.
func (c *Controller) runOnce(ctx context.Context, j *job) (reconcile.Result, error) {
	if j.judged() {
		return reconcile.Done, nil
	}
	begun := !j.begun().IsZero()
	switch decideOneshot(*j.want, j.have, begun) {
	case keep:
		r, err := c.publish(ctx, j, judgeOneshot(*j.want, j.have, begun, j.memory.began(j.have), j.now))
		if err == nil && !j.judged() && j.now.Sub(j.have.began()) > longRun {
			return reconcile.After(idleEvery), nil
		}
		return r, err
	case remove:
		c.log.Info("remove the service of an older oneshot", "proc", j.key)
		return reconcile.After(rollingEvery), c.engine.RemoveService(ctx, *j.have.service)
	case create:
		if j.now.Sub(j.memory.refused) >= time.Second { // else it was just refused
			return c.begin(ctx, j)
		}
	}
	return reconcile.After(rollingEvery), nil
}

// begin asks the engine for a oneshot. That it will be asked is recorded first: a process that dies in between
// leaves a oneshot that is given up, never one that runs twice. What the engine refused for certain was not begun.
func (c *Controller) begin(ctx context.Context, j *job) (reconcile.Result, error) {
	s, err := c.surroundings(ctx, j)
	if err == nil {
		if err := c.mark(ctx, j, j.now, "given to the engine"); err != nil {
			return reconcile.Done, err
		}
		c.log.Info("begin a oneshot", "proc", j.key, "release", j.want.Release, "attempt", j.want.Attempt)
		err = c.engine.CreateService(ctx, oneshotSpec(*j.want, s, j.now), c.auth(j.app))
	}
	switch {
	case err == nil, errors.Is(err, engine.ErrChanged):
		return reconcile.After(rollingEvery), nil
	case ctx.Err() != nil, !errors.Is(err, engine.ErrAway) && c.engine.Ping(ctx) != nil:
		j.memory.away = true
		return reconcile.Done, err
	}
	if err := c.mark(ctx, j, time.Time{}, "not yet given to the engine"); err != nil {
		return reconcile.Done, err
	}
	if errors.Is(err, engine.ErrAway) {
		j.memory.away = true
		return reconcile.Done, err
	}
	return c.refused(ctx, j, err)
}

// mark records whether the engine is asked for the oneshot.
func (c *Controller) mark(ctx context.Context, j *job, begun time.Time, reason string) error {
	return c.writeSeen(ctx, j, lain.ProcSeen{App: j.app, Proc: j.proc, Release: j.want.Release, Attempt: j.want.Attempt,
		State: lain.SeenRolling, Reason: reason, Begun: begun})
}
