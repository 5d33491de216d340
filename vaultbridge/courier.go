package vaultbridge

import (
	"context"
	"errors"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/helper/start"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Engine is what a Courier needs of the Docker Engine.
type Engine interface {
	Secrets(ctx context.Context, app lain.AppName) ([]swarm.Secret, error)
	CreateSecret(ctx context.Context, app lain.AppName, name string, labels map[string]string, data []byte) error
	RemoveSecret(ctx context.Context, s swarm.Secret) error
}

// Courier brings versions from the vault to the engine. It is safe for concurrent use.
type Courier struct {
	bridge *Bridge
	engine Engine
	handed *handed
}

// NewCourier makes a Courier.
func NewCourier(b *Bridge, e Engine) *Courier {
	return &Courier{bridge: b, engine: e, handed: &handed{at: map[string]time.Time{}}}
}

// WithPatience is the same Courier, waiting for a vault that is sealed or gone as long as patience says.
func (c *Courier) WithPatience(patience time.Duration) *Courier {
	return &Courier{bridge: c.bridge.WithPatience(patience), engine: c.engine, handed: c.handed}
}

// Need is what lain.yaml declares for a proc.
type Need struct {
	Proc   lain.ProcName
	Files  []lain.SecretPath
	Bypass bool // secret_files_bypass: files that are not there are left out
}

// Delivery is what the procs of a release get, pinned to versions.
type Delivery struct {
	Secrets map[lain.ProcName][]lain.SecretMount // sorted by path
	Config  *lain.ConfigMount                    // the same for every proc; nil: config was never set
	Left    []MissingFile                        // what Bypass left out
}

// Check is a *MissingError when files that are needed are not in the vault. It reads no value.
func (c *Courier) Check(ctx context.Context, app lain.AppName, needs []Need) error {
	w, err := c.bridge.want(ctx, app, needs)
	if err == nil && len(w.missing) > 0 {
		return &MissingError{App: app, Files: w.missing}
	}
	return err
}

// Deliver finds the newest version of everything needed and makes sure that the engine has it. Of a file that a
// proc has of its own and that there is for every proc, the proc's own counts. It may be repeated.
//
// When files are not in the vault, nothing is given to the engine and the error is a *MissingError with all of
// them. Other errors are faults of the vault's classes, or the engine's.
func (c *Courier) Deliver(ctx context.Context, app lain.AppName, needs []Need) (Delivery, error) {
	w, err := c.bridge.want(ctx, app, needs)
	if err != nil {
		return Delivery{}, err
	}
	if len(w.missing) > 0 {
		return Delivery{}, &MissingError{App: app, Files: w.missing}
	}
	d := Delivery{Secrets: map[lain.ProcName][]lain.SecretMount{}, Left: w.left}
	if w.empty() {
		return d, nil
	}
	err = c.bring(ctx, app, w, &d)
	return d, err
}

func (c *Courier) bring(ctx context.Context, app lain.AppName, w wanted, d *Delivery) error {
	have, err := c.have(ctx, app)
	if err != nil {
		return err
	}
	for _, f := range w.files {
		m, err := c.bringFile(ctx, app, f, have)
		if err != nil {
			return err
		}
		d.Secrets[f.proc] = append(d.Secrets[f.proc], m)
	}
	if w.config.version == 0 {
		return nil
	}
	d.Config = &lain.ConfigMount{Secret: w.config.name, Version: w.config.version}
	return c.bringConfig(ctx, app, w.config, have)
}

// Restore makes sure that the engine has exactly what the procs of an older release name. It asks the vault only
// for what the engine lacks; a version that the vault does not keep any more is a fault of kind NotFound.
func (c *Courier) Restore(ctx context.Context, app lain.AppName, procs []lain.ProcSpec) error {
	have, err := c.have(ctx, app)
	if err != nil {
		return err
	}
	for _, p := range procs {
		if p.Config != nil {
			if err := c.restoreConfig(ctx, app, *p.Config, have); err != nil {
				return err
			}
		}
		for _, m := range p.Secrets {
			if err := c.restoreFile(ctx, app, m, have); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Courier) restoreConfig(ctx context.Context, app lain.AppName, m lain.ConfigMount, have shelf) error {
	if c.handed.note(m.Secret); have[m.Secret] != nil {
		return nil
	}
	p, err := c.bridge.configPlace(app)
	if err != nil {
		return err
	}
	if err := c.bridge.verify(ctx, app, p, m.Secret, m.Version); err != nil {
		return err
	}
	return c.bringConfig(ctx, app, parcel{place: p, name: m.Secret, version: m.Version}, have)
}

func (c *Courier) restoreFile(ctx context.Context, app lain.AppName, m lain.SecretMount, have shelf) error {
	if c.handed.note(m.Secret); have[m.Secret] != nil {
		return nil
	}
	p, err := c.bridge.filePlace(app, m.Scope, m.Path)
	if err != nil {
		return err
	}
	if err := c.bridge.verify(ctx, app, p, m.Secret, m.Version); err != nil {
		return err
	}
	_, err = c.bringFile(ctx, app, wantedFile{parcel: parcel{place: p, name: m.Secret, version: m.Version}, scope: m.Scope, path: m.Path}, have)
	return err
}

// verify refuses a version that is not the one the name was made of.
func (b *Bridge) verify(ctx context.Context, app lain.AppName, p place, name string, version int) error {
	e, err := b.look(ctx, b.app(app), p)
	if err != nil {
		return err
	}
	if v := e.version(version); !v.Live() || b.engineName(p, version, v.At) != name {
		return fault.Hide(fault.NotFound, ErrNotFound, "the vault does not keep version %d of %s of %s any more", version, e.what(), app).
			WithHint("Roll back without the old secrets, or set it anew.")
	}
	return nil
}

func (e entry) what() string {
	switch path := e.Custom[pathKey]; path {
	case string(lain.ConfigPath):
		return "the config values"
	case "":
		return "a secret file"
	default:
		return "the secret file " + path
	}
}

// shelf is what the engine has, by name.
type shelf map[string]map[string]string // labels

func (c *Courier) have(ctx context.Context, app lain.AppName) (shelf, error) {
	list, err := c.engine.Secrets(ctx, app)
	if err != nil {
		return nil, err
	}
	have := shelf{}
	for _, s := range list {
		have[s.Spec.Name] = s.Spec.Labels
	}
	return have, nil
}

// bringFile is a file as a container gets it. Owner and mode are versioned with the value; the engine's labels
// repeat them, so that a value is only read when the engine lacks it.
func (c *Courier) bringFile(ctx context.Context, app lain.AppName, f wantedFile, have shelf) (lain.SecretMount, error) {
	m := lain.SecretMount{Secret: f.name, Path: f.path, Scope: f.scope, Version: f.version}
	c.handed.note(f.name)
	if ownership(have[f.name], &m) {
		return m, nil
	}
	stored, err := c.bridge.storedFile(ctx, c.bridge.app(app), f.place, f.version)
	if err != nil {
		return m, err
	}
	m.UID, m.GID, m.Mode = stored.UID, stored.GID, stored.Mode
	labels := fileLabels(m)
	if err := c.create(ctx, app, f.name, labels, stored.Value); err != nil {
		return m, err
	}
	have[f.name] = labels
	return m, nil
}

func (c *Courier) bringConfig(ctx context.Context, app lain.AppName, p parcel, have shelf) error {
	if c.handed.note(p.name); have[p.name] != nil {
		return nil
	}
	values, err := c.bridge.configValues(ctx, c.bridge.app(app), p.place, p.version)
	if err != nil {
		return err
	}
	file, err := start.FormatConfig(texts(values))
	if err != nil {
		return fault.New(fault.Invalid, "the config values of %s cannot be delivered: %s", app, err)
	}
	have[p.name] = configLabels(p.version)
	return c.create(ctx, app, p.name, have[p.name], file)
}

// create leaves a secret of the same name alone: the name says which version of what it holds.
func (c *Courier) create(ctx context.Context, app lain.AppName, name string, labels map[string]string, data []byte) error {
	err := c.engine.CreateSecret(ctx, app, name, labels, data)
	if errors.Is(err, engine.ErrChanged) {
		return nil
	}
	return err
}
