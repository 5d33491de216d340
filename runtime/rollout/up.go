package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state/reconcile"
)

// bringUp takes one step towards the wish, then says what it sees.
func (c *Controller) bringUp(ctx context.Context, j *job) (reconcile.Result, error) {
	gaveUp := j.judged() && j.seen.State == lain.SeenFailed
	c.lookAtCrashes(ctx, j)
	act := decide(*j.want, j.have, gaveUp, j.memory, j.now)
	if act == keep && j.paceDue() {
		act = pace
	}
	if act == keep {
		return c.publish(ctx, j, judge(*j.want, j.have, j.memory.began(j.have), j.now))
	}
	if act != nudge && j.now.Sub(j.memory.refused) < time.Second { // it was just refused
		return reconcile.After(rollingEvery), nil
	}
	if _, err := c.publish(ctx, j, judge(*j.want, j.have, j.memory.began(j.have), j.now)); err != nil {
		return reconcile.Done, err
	}
	c.log.Info("change the service", "proc", j.key, "action", string(act), "release", j.want.Release, "attempt", j.want.Attempt)
	err := c.apply(ctx, j, act)
	switch {
	case err == nil, errors.Is(err, engine.ErrChanged):
		return reconcile.After(rollingEvery), nil
	case ctx.Err() != nil, errors.Is(err, engine.ErrAway), c.engine.Ping(ctx) != nil:
		j.memory.away = true
		return reconcile.Done, err
	}
	return c.refused(ctx, j, err)
}

// judged reports whether this attempt has its verdict.
func (j *job) judged() bool {
	return j.seen != nil && j.seen.Attempt == j.want.Attempt && j.seen.State != lain.SeenRolling
}

// refused counts what the engine or the registry did not take, and gives the attempt up after some tries.
func (c *Controller) refused(ctx context.Context, j *job, err error) (reconcile.Result, error) {
	j.memory.refusals++
	j.memory.refused = j.now
	c.log.Warn("the engine refused a service", "proc", j.key, "error", err, "times", j.memory.refusals)
	if j.memory.refusals < tooManyFailures || j.judged() {
		return reconcile.After(time.Second), nil
	}
	v := verdict{state: lain.SeenFailed, cause: causeRefused, words: daemonWords(err)}
	if errors.Is(err, errImage) {
		v.cause = causeImage
	}
	return c.publish(ctx, j, v)
}

// daemonWords leaves out what we were doing when the daemon refused, where it is the daemon that speaks.
func daemonWords(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "Error response from daemon: "); i >= 0 {
		text = text[i+len("Error response from daemon: "):]
	}
	return oneLine(text)
}

// errImage marks that an image could not be had.
var errImage = errors.New("the image cannot be read")

func (c *Controller) apply(ctx context.Context, j *job, act action) error {
	switch act {
	case nudge:
		return c.nudge(ctx, j)
	case pace:
		return c.pace(ctx, j)
	}
	if act == update && j.have.attempt() == j.want.Attempt {
		return c.resize(ctx, j)
	}
	s, err := c.surroundings(ctx, j)
	if err != nil {
		return err
	}
	spec := serviceSpec(*j.want, s, j.now)
	spec.TaskTemplate.RestartPolicy = restartAfter(j.have.delayFor(specOf(spec.TaskTemplate)))
	if act == create {
		return c.engine.CreateService(ctx, spec, c.auth(j.app))
	}
	if back, wait := retreat(j.have, specOf(spec.TaskTemplate), j.memory, j.now); back {
		return c.retreat(ctx, j)
	} else if wait {
		return nil // the next look is soon
	}
	spec.Mode = replicated(size(*j.want, j.have))
	return c.engine.UpdateService(ctx, *j.have.service, spec, c.auth(j.app))
}

// retreat gives the service back the specification that it had before, whose instances run; not the way in which it
// was updated, which may have been that of a proc that crashed.
func (c *Controller) retreat(ctx context.Context, j *job) error {
	c.log.Info("go back to what runs first", "proc", j.key, "attempt", j.want.Attempt)
	j.memory.retreated = j.now
	spec := *j.have.service.PreviousSpec
	spec.Mode = j.have.service.Spec.Mode // fewer only when it is safe: see size
	spec.UpdateConfig = updateConfig(swarm.UpdateOrderStartFirst)
	return c.engine.UpdateService(ctx, *j.have.service, spec, c.auth(j.app))
}

// resize undoes a number of instances that was set by hand, or takes away those that a wish has too many, and
// restarts nothing.
func (c *Controller) resize(ctx context.Context, j *job) error {
	spec := j.have.service.Spec
	spec.Mode = replicated(size(*j.want, j.have))
	return c.engine.UpdateService(ctx, *j.have.service, spec, "")
}

func replicated(n int) swarm.ServiceMode {
	replicas := uint64(n)
	return swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}}
}

// nudge changes nothing but a label of the service, which makes the engine compare its tasks again.
func (c *Controller) nudge(ctx context.Context, j *job) error {
	j.memory.nudged = j.now
	spec := j.have.service.Spec
	spec.Labels[NudgeLabel] = fmt.Sprint(j.now.UnixMilli())
	return c.engine.UpdateService(ctx, *j.have.service, spec, "")
}

func (c *Controller) auth(app lain.AppName) string {
	if a := c.credential(app); a != (engine.Auth{}) {
		return a.Header()
	}
	return ""
}

func (c *Controller) credential(app lain.AppName) engine.Auth {
	if c.options.RegistryAuth == nil {
		return engine.Auth{}
	}
	return c.options.RegistryAuth(app)
}

func (c *Controller) surroundings(ctx context.Context, j *job) (surroundings, error) {
	image, err := c.image(ctx, j)
	if err != nil {
		return surroundings{}, err
	}
	network, err := c.engine.EnsureNetwork(ctx, j.app)
	if err != nil {
		return surroundings{}, err
	}
	secrets, err := c.secrets(ctx, j)
	if err != nil {
		return surroundings{}, err
	}
	s := surroundings{
		secrets:       secrets,
		name:          c.engine.ServiceName(j.app, j.proc),
		labels:        c.engine.Labels(j.app, j.proc),
		image:         j.want.Spec.Image.On(c.options.RegistryHost),
		argv:          command(j.want.Spec, image),
		network:       network,
		helper:        c.options.HelperPath,
		domain:        c.options.Domain,
		nodeCPUs:      smallest(j.have.nodes),
		probeInterval: c.options.ProbeInterval,
	}
	if j.oneshot {
		s.name, s.labels = c.engine.OneshotName(j.app, j.proc), c.engine.OneshotLabels(j.app, j.proc)
	}
	if len(s.argv) == 0 {
		return surroundings{}, fmt.Errorf("neither lain.yaml nor the image of %s says what to run: set cmd", j.proc)
	}
	return s, nil
}

// secrets are what the engine calls the secret files and the config values of the wish. What it lacks, as a new
// swarm does, is brought from the vault.
func (c *Controller) secrets(ctx context.Context, j *job) ([]*swarm.SecretReference, error) {
	if len(j.want.Spec.Secrets) == 0 && j.want.Spec.Config == nil {
		return nil, nil
	}
	refs, err := c.references(ctx, j)
	if _, missing := errors.AsType[*engine.MissingSecretError](err); !missing || c.options.Secrets == nil {
		return refs, err
	}
	if err := c.options.Secrets.Restore(ctx, j.app, []lain.ProcSpec{j.want.Spec}); err != nil {
		return nil, err
	}
	return c.references(ctx, j)
}

func (c *Controller) references(ctx context.Context, j *job) ([]*swarm.SecretReference, error) {
	ids, err := c.engine.SecretIDs(ctx, j.app)
	if err != nil {
		return nil, err
	}
	return engine.SecretReferences(j.want.Spec, ids)
}

// image reads what the image says to run, unless the wish says it all. It pulls it where this engine does
// not have it, which the nodes would do anyway.
func (c *Controller) image(ctx context.Context, j *job) (engine.ImageConfig, error) {
	ref := j.want.Spec.Image.On(c.options.RegistryHost)
	if err := j.want.Spec.Image.Validate(); err != nil {
		return engine.ImageConfig{}, fmt.Errorf("%w: %w", errImage, err)
	}
	if j.want.Spec.Entrypoint != nil {
		return engine.ImageConfig{}, nil
	}
	c.mu.Lock()
	config, known := c.commands[ref]
	c.mu.Unlock()
	if known {
		return config, nil
	}
	config, err := c.engine.ImageConfig(ctx, ref)
	if errors.Is(err, engine.ErrNoImage) {
		if err = c.engine.Pull(ctx, ref, c.credential(j.app)); err == nil {
			config, err = c.engine.ImageConfig(ctx, ref)
		}
	}
	if err != nil {
		return engine.ImageConfig{}, fmt.Errorf("%w: %w", errImage, err)
	}
	c.mu.Lock()
	c.commands[ref] = engine.ImageConfig{Entrypoint: config.Entrypoint, Cmd: config.Cmd}
	c.mu.Unlock()
	return config, nil
}

func smallest(nodes map[string]engine.Node) int64 {
	var least int64
	for _, n := range nodes {
		if n.Ready && (least == 0 || n.CPUs < least) {
			least = n.CPUs
		}
	}
	return least
}
