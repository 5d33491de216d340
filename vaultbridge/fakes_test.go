package vaultbridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// fakeEngine stands for the Docker Engine's secrets; the tests with an engine have the real one.
type fakeEngine struct {
	secrets []swarm.Secret
	data    map[string][]byte
	used    map[string]bool
	created int
	err     error
}

func (e *fakeEngine) Secrets(_ context.Context, app lain.AppName) ([]swarm.Secret, error) {
	var list []swarm.Secret
	for _, s := range e.secrets {
		if app == "" || s.Spec.Labels[engine.AppLabel] == string(app) {
			list = append(list, s)
		}
	}
	return list, e.err
}

func (e *fakeEngine) CreateSecret(_ context.Context, app lain.AppName, name string, labels map[string]string, data []byte) error {
	if slices.ContainsFunc(e.secrets, func(s swarm.Secret) bool { return s.Spec.Name == name }) {
		return fmt.Errorf("create secret: %w", engine.ErrChanged)
	}
	s := swarm.Secret{ID: "id-" + name}
	s.CreatedAt = time.Now()
	s.Spec.Name, s.Spec.Labels = name, maps.Clone(labels)
	s.Spec.Labels[engine.AppLabel] = string(app)
	e.secrets = append(e.secrets, s)
	if e.data == nil {
		e.data = map[string][]byte{}
	}
	e.data[name] = data
	e.created++
	return e.err
}

func (e *fakeEngine) RemoveSecret(_ context.Context, s swarm.Secret) error {
	if e.used[s.Spec.Name] {
		return fmt.Errorf("remove secret: %w", engine.ErrInUse)
	}
	e.secrets = slices.DeleteFunc(e.secrets, func(o swarm.Secret) bool { return o.ID == s.ID })
	return nil
}
