package rollout

import (
	"cmp"
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

// oneOff is a container that somebody is in, or soon will be.
type oneOff struct {
	app  lain.AppName
	stop context.CancelCauseFunc // ends its making; nil: it is made
}

// OneOff makes a container of its own for a command that a person runs: what the wish says of image, environment,
// secrets, user and limits, beside the instances of the proc, on this engine's machine. It does nothing by itself, has
// no health and no proc's name on the network, and is never started again. task is what it is entered by; end removes it and
// must be called. It is gone as well, soon after, when this process ends without that, and with its application. Its
// errors are faults: Unavailable where the container cannot be made, Conflict behind CloseOneOffs.
//
// image is called first, as part of the making: EndOneOffs ends its context and waits for it. It answers with the id of an
// image in this engine, which then takes the place of the wish's, user and working directory included; with "" for
// the wish's own.
func (c *Controller) OneOff(ctx context.Context, want lain.ProcWant, image func(context.Context) (id string, err error)) (task string, end func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	name := c.engine.OneOffName(want.App, strings.ToLower(rand.Text()[:10]))
	if err := c.keepOneOff(name, oneOff{want.App, cancel}); err != nil {
		return "", nil, err
	}
	over := func() { cancel(nil); c.endOneOff(name) }
	defer func() {
		if task == "" { // also where the making panics: destroy waits for all that are to be
			over()
		}
	}()
	if task, err = c.makeOneOff(ctx, name, want, image); err != nil {
		return "", nil, notMade(err)
	}
	c.made(name)
	return task, over, nil
}

func (c *Controller) makeOneOff(ctx context.Context, name string, want lain.ProcWant, image func(context.Context) (string, error)) (task string, err error) {
	id, err := image(ctx)
	if err != nil {
		return "", err
	}
	if err := c.beginOneOff(ctx, name, want, id); err != nil {
		return "", err
	}
	return c.awaitOneOff(ctx, name)
}

// notMade is why a one-off container was not made, as a fault.
func notMade(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	return fault.Hide(fault.Unavailable, err, "the container cannot be made: %s", report.Line(err.Error(), 300))
}

// keepOneOff says that a one-off container is to be.
func (c *Controller) keepOneOff(name string, o oneOff) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed[o.app] {
		return destroyed(o.app)
	}
	c.oneOffs[name] = o
	return nil
}

func destroyed(app lain.AppName) error {
	return fault.New(fault.Conflict, "%s is being destroyed", app)
}

// CloseOneOffs refuses one-off containers of an application until reopen is called.
func (c *Controller) CloseOneOffs(app lain.AppName) (reopen func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed[app] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.closed, app)
	}
}

// EndOneOffs removes an application's one-off containers, whoever is in them or makes them, and returns when all are gone.
func (c *Controller) EndOneOffs(ctx context.Context, app lain.AppName) error {
	tick := time.NewTicker(oneOffEvery)
	defer tick.Stop()
	for {
		making := c.stopOneOffs(app)
		if err := c.removeOneOffs(ctx, app, func(string) bool { return false }); err != nil {
			return err
		}
		tasks, err := c.engine.OneOffTasks(ctx, app)
		if err != nil || making+len(tasks) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// made says that a one-off container is there. From then on nobody waits for its person, who may not read what it says.
func (c *Controller) made(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.oneOffs[name]
	o.stop = nil
	c.oneOffs[name] = o
}

// stopOneOffs ends the making of an application's one-off containers, and counts those that are being made.
func (c *Controller) stopOneOffs(app lain.AppName) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.oneOffs {
		if o.app == app && o.stop != nil {
			o.stop(destroyed(app))
			n++
		}
	}
	return n
}

func (c *Controller) isKept(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, kept := c.oneOffs[name]
	return kept
}

// beginOneOff asks the engine for a container of the image of that id, "" for the wish's own.
func (c *Controller) beginOneOff(ctx context.Context, name string, want lain.ProcWant, id string) error {
	if id != "" {
		want = inAnotherImage(want)
	}
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
	s.name, s.labels, s.image = name, c.engine.OneOffLabels(want.App), cmp.Or(id, s.image)
	c.log.Info("make a one-off container", "name", name, "proc", want.Spec.Name, "release", want.Release, "image", s.image)
	return c.engine.CreateService(ctx, oneOffSpec(want, s, node, c.now()), c.auth(want.App))
}

// inAnotherImage leaves out of a wish what is about its image: who commands run as, and where. What the proc runs is not
// asked for.
func inAnotherImage(want lain.ProcWant) lain.ProcWant {
	want.Spec.User, want.Spec.Workdir, want.Spec.Entrypoint = "", "", []string{lain.HelperPath}
	return want
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
	ctx, cancel := context.WithTimeout(context.Background(), slowestAnswer)
	defer cancel()
	if err := c.engine.RemoveOneOff(ctx, name); err != nil {
		c.log.Warn("a one-off container cannot be removed yet", "name", name, "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.oneOffs, name)
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
