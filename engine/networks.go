package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/docker/docker/api/types/network"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// EnsureNetwork makes the overlay network of an application unless it is there, and returns its id.
// ErrForeign when its name belongs to something without our labels.
func (e *Engine) EnsureNetwork(ctx context.Context, app lain.AppName) (string, error) {
	id, err := e.network(ctx, app)
	if !errors.Is(err, ErrNotFound) {
		return id, err
	}
	name := e.NetworkName(app)
	err = failpoint.Around("engine.network.create", func() error {
		r, err := e.api.NetworkCreate(ctx, name, network.CreateOptions{
			Driver: "overlay", Scope: "swarm", Attachable: true, Labels: e.Labels(app, ""),
		})
		id = r.ID
		return err
	})
	if err = explain("create network "+name, err); errors.Is(err, ErrChanged) {
		return e.network(ctx, app) // somebody was quicker
	}
	return id, err
}

// RemoveNetwork removes the network of an application. One that is gone is no error; one that still has
// containers is ErrChanged or the engine's refusal: try again.
func (e *Engine) RemoveNetwork(ctx context.Context, app lain.AppName) error {
	id, err := e.network(ctx, app)
	if err == nil {
		err = failpoint.Around("engine.network.remove", func() error { return e.api.NetworkRemove(ctx, id) })
		err = explain("remove network "+e.NetworkName(app), err)
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Networks lists the applications that have a network of ours.
func (e *Engine) Networks(ctx context.Context) ([]lain.AppName, error) {
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: e.filter("", "")})
	if err != nil {
		return nil, explain("list networks", err)
	}
	var apps []lain.AppName
	for _, n := range list {
		if app := lain.AppName(n.Labels[AppLabel]); n.Name == e.NetworkName(app) {
			apps = append(apps, app)
		}
	}
	return apps, nil
}

// network finds the application's network by its exact name.
func (e *Engine) network(ctx context.Context, app lain.AppName) (string, error) {
	name := e.NetworkName(app)
	n, err := e.api.NetworkInspect(ctx, name, network.InspectOptions{})
	switch {
	case err != nil:
		return "", explain("inspect network "+name, err)
	case n.Name != name:
		return "", fmt.Errorf("inspect network %s: %w", name, ErrNotFound)
	case !e.ours(n.Labels):
		return "", fmt.Errorf("network %s: %w", name, ErrForeign)
	}
	return n.ID, nil
}
