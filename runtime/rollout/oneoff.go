package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

const (
	oneOffLimit = 30 * time.Second // for its start, the image's way apart
	oneOffEvery = 50 * time.Millisecond
	oneOffGrace = time.Second // its process does nothing; what was entered is ended before
	clearEvery  = 30 * time.Second
)

// OneOff makes a container of its own for a command that a person runs: what the wish says of image, environment,
// secrets, user and limits, beside the instances of the proc, on this engine's machine. It does nothing by itself, has
// no health and no proc's name on the network, and is never started again. task is what it is entered by; end removes it and
// must be called. It is gone as well, soon after, when this process ends without that, and with its application.
func (c *Controller) OneOff(ctx context.Context, want lain.ProcWant) (task string, end func(), err error) {
	name := c.engine.OneOffName(want.App, strings.ToLower(rand.Text()[:10]))
	c.keepOneOff(name, true)
	end = func() { c.endOneOff(name) }
	if err = c.beginOneOff(ctx, name, want); err == nil {
		task, err = c.awaitOneOff(ctx, name)
	}
	if err != nil {
		end()
		return "", nil, err
	}
	return task, end, nil
}

// keepOneOff says whether a one-off container is to be.
func (c *Controller) keepOneOff(name string, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep {
		c.oneOffs[name] = true
	} else {
		delete(c.oneOffs, name)
	}
}

func (c *Controller) isKept(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.oneOffs[name]
}

func (c *Controller) beginOneOff(ctx context.Context, name string, want lain.ProcWant) error {
	node, err := c.engine.NodeID(ctx)
	if err != nil {
		return err
	}
	j := &job{app: want.App, proc: want.Spec.Name, want: &want}
	if j.have.nodes, err = c.nodes(ctx); err != nil {
		return err
	}
	s, err := c.surroundings(ctx, j)
	if err != nil {
		return err
	}
	s.name, s.labels = name, c.engine.OneOffLabels(want.App)
	c.log.Info("make a one-off container", "name", name, "proc", want.Spec.Name, "release", want.Release)
	return c.engine.CreateService(ctx, oneOffSpec(want, s, node, c.now()), c.auth(want.App))
}

// oneOffSpec is the service of a one-off container on a node. It is pure.
func oneOffSpec(want lain.ProcWant, s surroundings, node string, now time.Time) swarm.ServiceSpec {
	want.Spec.Instances = 1
	spec := serviceSpec(want, s, now)
	c, grace := spec.TaskTemplate.ContainerSpec, oneOffGrace
	c.Args = []string{"hold"}
	c.Hostname = "run"
	c.StopGracePeriod = &grace
	c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	spec.EndpointSpec.Ports = nil
	spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
	spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.id==" + node}}
	for i := range spec.TaskTemplate.Networks {
		spec.TaskTemplate.Networks[i].Aliases = nil
	}
	return spec
}

// awaitOneOff waits until a one-off container runs.
func (c *Controller) awaitOneOff(ctx context.Context, name string) (task string, err error) {
	tick := time.NewTicker(oneOffEvery)
	defer tick.Stop()
	began := c.now()
	for {
		t, err := c.engine.OneOffTask(ctx, name)
		switch {
		case err != nil && !errors.Is(err, engine.ErrNotFound):
			return "", err
		case running(t):
			return t.ID, nil
		case broken(t), halted(t):
			return "", doesNotStart(oneLine(t.Status.Err))
		case t.Status.State == swarm.TaskStatePreparing: // its image comes
			began = c.now()
		case c.now().Sub(began) > oneOffLimit:
			return "", doesNotStart(notStarted(t).words)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func doesNotStart(words string) error {
	return fault.New(fault.Unavailable, "the container does not start: %s", report.Line(words, 300))
}

// endOneOff removes a one-off container. What the engine does not take now is removed by clearOneOffs.
func (c *Controller) endOneOff(name string) {
	c.keepOneOff(name, false)
	ctx, cancel := context.WithTimeout(context.Background(), slowestAnswer)
	defer cancel()
	if err := c.engine.RemoveOneOff(ctx, name); err != nil {
		c.log.Warn("a one-off container cannot be removed yet", "name", name, "error", err)
	}
}

// clearOneOffs removes one-off containers that nobody is in: those of a process that ended without removing them.
func (c *Controller) clearOneOffs(ctx context.Context) error {
	tick := time.NewTicker(clearEvery)
	defer tick.Stop()
	for {
		if err := c.removeOneOffs(ctx, "", c.isKept); err != nil && ctx.Err() == nil {
			c.log.Warn("one-off containers that nobody is in cannot be removed yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// removeOneOffs removes the one-off containers of an application, "" for all, but for those that are kept.
func (c *Controller) removeOneOffs(ctx context.Context, app lain.AppName, kept func(name string) bool) error {
	services, err := c.engine.OneOffs(ctx, app)
	for _, s := range services {
		if !kept(s.Spec.Name) {
			c.log.Info("remove a one-off container", "name", s.Spec.Name)
			err = errors.Join(err, c.engine.RemoveService(ctx, s))
		}
	}
	return err
}
