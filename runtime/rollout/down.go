package rollout

import (
	"context"

	"lain.internal/lain/state/reconcile"
)

// takeDown takes one step towards nothing: endpoints, the service, its containers, the application's
// network with its last proc, the record.
func (c *Controller) takeDown(ctx context.Context, j *job) (reconcile.Result, error) {
	act := dismantle(j.have, j.endpoints != nil, j.memory, j.now)
	j.memory.attempt = 0
	c.countCrashing(j.key, false)
	switch act {
	case withdraw:
		if _, err := c.endpoints.Delete(ctx, j.key); err != nil {
			return reconcile.Done, err
		}
		j.memory.withdrawn = j.now
		return reconcile.After(drainFor), nil
	case drain:
		return reconcile.After(drainFor - j.now.Sub(j.memory.withdrawn)), nil
	case remove:
		c.log.Info("remove the service", "proc", j.key)
		return reconcile.After(rollingEvery), c.engine.RemoveService(ctx, *j.have.service)
	case ending:
		return reconcile.After(rollingEvery), nil
	default:
		return c.forget(ctx, j)
	}
}

func (c *Controller) forget(ctx context.Context, j *job) (reconcile.Result, error) {
	last, err := c.lastOfApp(ctx, j)
	if err != nil {
		return reconcile.Done, err
	}
	if last {
		if err := c.engine.RemoveNetwork(ctx, j.app); err != nil {
			return reconcile.Done, err
		}
	}
	j.memory = memory{}
	_, err = c.seen.Delete(ctx, j.key)
	return reconcile.Done, err
}

// lastOfApp reports whether nothing of the application is wanted or there any more. Nobody may stay in a one-off
// container of it then: the network goes.
func (c *Controller) lastOfApp(ctx context.Context, j *job) (bool, error) {
	wants, _, err := c.wants.List(ctx, string(j.app)+"/")
	if err != nil || len(wants) > 0 {
		return false, err
	}
	if err := c.removeOneOffs(ctx, j.app, func(string) bool { return false }); err != nil {
		return false, err
	}
	tasks, err := c.engine.Tasks(ctx, j.app, "")
	if err != nil || len(tasks) > 0 {
		return false, err
	}
	services, err := c.engine.Services(ctx, j.app)
	return len(services) == 0, err
}
