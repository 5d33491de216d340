package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// OneOffLabel marks what is made for a command that a person runs in a container of its own. It belongs to no proc, so
// it has no ProcLabel.
const OneOffLabel = "lain.oneoff"

// OneOffName is what the engine calls the service of a one-off container: <cluster>_<app>_<ticket>_oneoff. The ticket
// tells it from all others of the application.
func (e *Engine) OneOffName(app lain.AppName, ticket string) string {
	return clip(fmt.Sprintf("%s_%s_%s_oneoff", e.cluster, app, ticket))
}

// OneOffLabels are those of a one-off's service and its container.
func (e *Engine) OneOffLabels(app lain.AppName) map[string]string {
	labels := e.Labels(app, "")
	labels[OneOffLabel] = "true"
	return labels
}

// OneOffs lists the services of one-off containers; app "" means those of all.
func (e *Engine) OneOffs(ctx context.Context, app lain.AppName) ([]swarm.Service, error) {
	f := e.filter(app, "")
	f.Add("label", OneOffLabel)
	list, err := e.api.ServiceList(ctx, swarm.ServiceListOptions{Filters: f})
	return list, explain("list one-off containers", err)
}

// OneOffTasks lists the tasks of an application's one-off containers. Those of a removed service are among them until their
// containers have ended.
func (e *Engine) OneOffTasks(ctx context.Context, app lain.AppName) ([]swarm.Task, error) {
	f := e.filter(app, "")
	f.Add("label", OneOffLabel)
	list, err := e.api.TaskList(ctx, swarm.TaskListOptions{Filters: f})
	return list, explain("list the tasks of one-off containers", err)
}

// OneOffTask is the only task of a one-off container's service, by its name. ErrNotFound while it has none.
func (e *Engine) OneOffTask(ctx context.Context, name string) (swarm.Task, error) {
	list, err := e.api.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", name))})
	if err = explain("list the tasks of "+name, err); err != nil {
		return swarm.Task{}, err
	}
	if len(list) == 0 {
		return swarm.Task{}, fmt.Errorf("a task of %s: %w", name, ErrNotFound)
	}
	return list[0], nil
}

// RemoveOneOff removes a one-off container by its service's name. One that is gone is no error.
func (e *Engine) RemoveOneOff(ctx context.Context, name string) error {
	s, err := e.serviceNamed(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.RemoveService(ctx, s)
}
