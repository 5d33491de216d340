package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// MaxSecret is the largest secret the engine takes, in bytes.
const MaxSecret = 511_999

// empty is a template that becomes nothing: the engine takes no secret of no bytes, but fills in templates
// when it writes the file.
const empty = `{{""}}`

// Secrets lists the secrets of this cluster, of one application where app is given. The engine never gives
// their values back.
func (e *Engine) Secrets(ctx context.Context, app lain.AppName) ([]swarm.Secret, error) {
	list, err := e.api.SecretList(ctx, swarm.SecretListOptions{Filters: e.filter(app, "")})
	if err != nil {
		return nil, explain("list secrets", err)
	}
	return list, nil
}

// SecretIDs are the ids of an application's secrets, by name: what a service has to say beside the name.
func (e *Engine) SecretIDs(ctx context.Context, app lain.AppName) (map[string]string, error) {
	list, err := e.Secrets(ctx, app)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(list))
	for _, s := range list {
		ids[s.Spec.Name] = s.ID
	}
	return ids, nil
}

// CreateSecret gives the engine a secret of an application, with our labels and those given, which must hold
// nothing secret. Data of no bytes becomes an empty file. ErrChanged when there is one of that name already,
// whose data cannot be compared.
func (e *Engine) CreateSecret(ctx context.Context, app lain.AppName, name string, labels map[string]string, data []byte) error {
	if len(data) > MaxSecret {
		return fmt.Errorf("create secret %s: %d bytes are more than %d", name, len(data), MaxSecret)
	}
	spec := swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: maps.Clone(labels)}, Data: data}
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	maps.Copy(spec.Labels, e.Labels(app, ""))
	if len(data) == 0 {
		spec.Data, spec.Templating = []byte(empty), &swarm.Driver{Name: "golang"}
	}
	err := failpoint.Around("engine.secret.create", func() error {
		_, err := e.api.SecretCreate(ctx, spec)
		return err
	})
	return explain("create secret "+name, err)
}

// RemoveSecret removes a secret of ours. One that is gone is no error; ErrInUse while a service names it.
func (e *Engine) RemoveSecret(ctx context.Context, s swarm.Secret) error {
	if !e.ours(s.Spec.Labels) {
		return fmt.Errorf("remove secret %s: %w", s.Spec.Name, ErrForeign)
	}
	what := "remove secret " + s.Spec.Name
	err := failpoint.Around("engine.secret.remove", func() error { return e.api.SecretRemove(ctx, s.ID) })
	if err != nil && strings.Contains(err.Error(), "is in use by") {
		return fmt.Errorf("%s: %w: %w", what, ErrInUse, err)
	}
	if err = explain(what, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// MissingSecretError names a secret that a proc needs and the engine does not have.
type MissingSecretError struct{ Name string }

func (e *MissingSecretError) Error() string { return "the engine has no secret " + e.Name }

// SecretReferences is what a proc's container says of its secret files and config values: nil when it has
// none, *MissingSecretError when one of them is not among ids. The config file may be read by every user of
// the container, since nothing but the image knows which one the command runs as.
func SecretReferences(p lain.ProcSpec, ids map[string]string) ([]*swarm.SecretReference, error) {
	mounts := p.Secrets
	if p.Config != nil {
		mounts = append(mounts[:len(mounts):len(mounts)], lain.SecretMount{Secret: p.Config.Secret, Path: lain.ConfigPath, Mode: 0o444})
	}
	var refs []*swarm.SecretReference
	for _, m := range mounts {
		id, known := ids[m.Secret]
		if !known {
			return nil, &MissingSecretError{Name: m.Secret}
		}
		refs = append(refs, &swarm.SecretReference{SecretID: id, SecretName: m.Secret, File: &swarm.SecretReferenceFileTarget{
			Name: string(m.Path), UID: strconv.Itoa(m.UID), GID: strconv.Itoa(m.GID), Mode: os.FileMode(m.Mode),
		}})
	}
	return refs, nil
}
