package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// What a service call may end with, beside failures of the engine.
var (
	ErrNotFound = errors.New("the engine has no such thing")                         // also for what is not ours
	ErrChanged  = errors.New("it was changed in the meantime: read it again")        // an update by an old version
	ErrForeign  = errors.New("the name is taken by something that is not ours")      // never touched
	ErrAway     = errors.New("the docker engine does not answer, or has no manager") // nothing is known
)

// Services lists the services of this cluster's procs; app "" means all.
func (e *Engine) Services(ctx context.Context, app lain.AppName) ([]swarm.Service, error) {
	list, err := e.api.ServiceList(ctx, swarm.ServiceListOptions{Filters: e.procFilter(app, "")})
	if err != nil {
		return nil, explain("list services", err)
	}
	return list, nil
}

// Service finds a proc's service. ErrNotFound when there is none, ErrForeign when its name belongs to
// something without our labels.
func (e *Engine) Service(ctx context.Context, app lain.AppName, proc lain.ProcName) (swarm.Service, error) {
	return e.serviceNamed(ctx, e.ServiceName(app, proc))
}

func (e *Engine) serviceNamed(ctx context.Context, name string) (swarm.Service, error) {
	s, _, err := e.api.ServiceInspectWithRaw(ctx, name, swarm.ServiceInspectOptions{})
	switch {
	case err != nil:
		return swarm.Service{}, explain("inspect service "+name, err)
	case s.Spec.Name != name: // the engine also answers to a prefix of an id
		return swarm.Service{}, fmt.Errorf("inspect service %s: %w", name, ErrNotFound)
	case !e.ours(s.Spec.Labels):
		return swarm.Service{}, fmt.Errorf("service %s: %w", name, ErrForeign)
	}
	return s, nil
}

// CreateService makes a service; its spec must carry our labels. auth is the encoded credential that
// nodes pull with, or "". ErrChanged when one of that name is there already.
func (e *Engine) CreateService(ctx context.Context, spec swarm.ServiceSpec, auth string) error {
	if !e.ours(spec.Labels) {
		return fmt.Errorf("create service %s: %w", spec.Name, ErrForeign)
	}
	err := failpoint.Around("engine.service.create", func() error {
		_, err := e.api.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: auth})
		return err
	})
	return explain("create service "+spec.Name, err)
}

// UpdateService puts spec in the place of old's, which must be ours. ErrChanged when old is not the
// newest. With auth "" the nodes keep the credential they have.
func (e *Engine) UpdateService(ctx context.Context, old swarm.Service, spec swarm.ServiceSpec, auth string) error {
	if !e.ours(old.Spec.Labels) || !e.ours(spec.Labels) {
		return fmt.Errorf("update service %s: %w", old.Spec.Name, ErrForeign)
	}
	options := swarm.ServiceUpdateOptions{EncodedRegistryAuth: auth, RegistryAuthFrom: swarm.RegistryAuthFromSpec}
	err := failpoint.Around("engine.service.update", func() error {
		_, err := e.api.ServiceUpdate(ctx, old.ID, old.Version, spec, options)
		return err
	})
	return explain("update service "+old.Spec.Name, err)
}

// RemoveService removes a service of ours; its containers are told to stop. One that is gone is no error.
func (e *Engine) RemoveService(ctx context.Context, s swarm.Service) error {
	if !e.ours(s.Spec.Labels) {
		return fmt.Errorf("remove service %s: %w", s.Spec.Name, ErrForeign)
	}
	err := failpoint.Around("engine.service.remove", func() error { return e.api.ServiceRemove(ctx, s.ID) })
	if err = explain("remove service "+s.Spec.Name, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Tasks lists the tasks of this cluster's procs, of one app and proc where they are given. Those of a
// removed service are among them until their containers have ended.
func (e *Engine) Tasks(ctx context.Context, app lain.AppName, proc lain.ProcName) ([]swarm.Task, error) {
	list, err := e.api.TaskList(ctx, swarm.TaskListOptions{Filters: e.procFilter(app, proc)})
	if err != nil {
		return nil, explain("list tasks", err)
	}
	return list, nil
}

// Ping is nil when the engine answers.
func (e *Engine) Ping(ctx context.Context) error {
	_, err := e.api.Ping(ctx)
	return explain("ping the engine", err)
}

// explain adds what was tried, and one of the errors above where the engine's words mean it.
func explain(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotFound, err)
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err), strings.Contains(err.Error(), "update out of sequence"):
		return fmt.Errorf("%s: %w: %w", what, ErrChanged, err)
	case client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err), strings.Contains(err.Error(), "swarm does not have a leader"):
		return fmt.Errorf("%s: %w: %w", what, ErrAway, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
