package main

import (
	"context"
	"errors"
	"time"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// applications makes, finds and removes applications with what every room keeps of them.
type applications struct{ s *server }

func (a *applications) kind() state.Kind[lain.App] {
	return state.Of[lain.App](a.s.store, lain.AppsPrefix)
}

// App finds the record of an application.
func (a *applications) App(ctx context.Context, name lain.AppName) (lain.App, bool, error) {
	item, err := a.kind().Get(ctx, string(name))
	if errors.Is(err, state.ErrNotFound) {
		return lain.App{}, false, nil
	}
	return item.Value, err == nil, err
}

// Create makes an application without a release: first its repository, then its record, which is what counts.
func (a *applications) Create(ctx context.Context, name lain.AppName, format string, by lain.Person) error {
	exists := fault.New(fault.Conflict, "there is an application %s already", name)
	if _, ok, err := a.App(ctx, name); err != nil || ok {
		return errors.Join(err, exists)
	}
	_, err := a.s.repos.Create(ctx, name, format)
	if errors.Is(err, repo.ErrExists) {
		return fault.New(fault.Conflict, "%s is being made by a first push right now", name).WithHint("See: apps")
	}
	if err != nil {
		return err
	}
	_, err = a.kind().Create(ctx, string(name), lain.App{Name: name, ObjectFormat: format, Created: time.Now().UTC(), By: by})
	if errors.Is(err, state.ErrExists) {
		return exists
	}
	return err
}

// MayHaveConfig marks an application whose releases ask the vault for config values.
func (a *applications) MayHaveConfig(ctx context.Context, name lain.AppName) error {
	for {
		item, err := a.kind().Get(ctx, string(name))
		if err != nil || item.Value.Config {
			return err
		}
		item.Value.Config = true
		tx := a.s.store.Begin("app.config")
		a.kind().UnchangedIn(tx, string(name), item.Revision)
		a.kind().PutIn(tx, string(name), item.Value)
		if _, err := tx.Commit(ctx); !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// Destroy removes an application from every room. It waits while a backup is being written.
func (a *applications) Destroy(ctx context.Context, name lain.AppName, tell func(string)) error {
	if a.s.gate.Held() {
		tell("Waiting until the backup of the server is written")
	}
	ctx, leave, err := a.s.gate.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	defer a.s.rollout.CloseOneOffs(name)()
	return a.s.pipeline.Destroy(ctx, name, tell, func(ctx context.Context) error {
		return errors.Join(
			a.s.rollout.EndOneOffs(ctx, name), // the proc that went last did it, but for one that began at that moment
			a.s.builder.Forget(ctx, name),
			a.s.vault.Destroy(ctx, name),
			a.forgetSecrets(ctx, name),
			a.s.engine.RemoveNetwork(ctx, name),
			a.s.repos.Remove(ctx, name),
		)
	})
}

// forgetSecrets removes what the engine was given of an application's secrets. Its services are gone by now.
func (a *applications) forgetSecrets(ctx context.Context, name lain.AppName) error {
	list, err := a.s.engine.Secrets(ctx, name)
	for _, one := range list {
		err = errors.Join(err, a.s.engine.RemoveSecret(ctx, one))
	}
	return err
}
