package pipeline

import (
	"context"
	"errors"
	"path"
	"time"

	"lain.internal/lain/builder"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/redact"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
)

// Secrets brings what is in the vault to the engine. Package vaultbridge has the real one.
type Secrets interface {
	// Check is a *vaultbridge.MissingError when files that are needed are not in the vault.
	Check(context.Context, lain.AppName, []vaultbridge.Need) error
	// Deliver pins the newest version of all that is needed, and gives it to the engine.
	Deliver(context.Context, lain.AppName, []vaultbridge.Need) (vaultbridge.Delivery, error)
	// Build reads what a build sees; a *vaultbridge.MissingError as Check.
	Build(context.Context, lain.AppName, []lain.SecretPath) ([]vaultbridge.BuildFile, error)
	// Values are what must not be shown: see package redact.
	Values(context.Context, lain.AppName, []lain.ProcSpec) ([]string, error)
	// Restore gives the engine exactly what the procs are pinned to.
	Restore(context.Context, lain.AppName, []lain.ProcSpec) error
}

// checkSecrets refuses a manifest whose secret files, those of its build included, are not all in the vault. A vault that is away refuses
// nothing here: the run may find it back.
func (p *Pipeline) checkSecrets(ctx context.Context, m *manifest.Manifest) error {
	needs := needsOf(plan.SecretNeeds(m))
	if paths := buildPaths(m); len(paths) > 0 {
		needs = append(needs, vaultbridge.Need{Files: paths})
	}
	if len(needs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := p.o.Secrets.Check(ctx, m.AppName, needs)
	if _, missing := errors.AsType[*vaultbridge.MissingError](err); missing {
		return err
	}
	return nil
}

// needsOf leaves out the procs that declare no secret files.
func needsOf(procs []lain.ProcSpec) []vaultbridge.Need {
	var needs []vaultbridge.Need
	for _, p := range procs {
		if len(p.SecretFiles) > 0 {
			needs = append(needs, vaultbridge.Need{Proc: p.Name, Files: p.SecretFiles, Bypass: p.Bypass})
		}
	}
	return needs
}

// pin gives a release the secrets and config that its containers will see. An application that has neither
// never asks the vault.
func (e *execution) pin(r lain.Release) (lain.Release, error) {
	which := plan.WhichSecrets(e.asked.Change)
	config, err := e.p.mayHaveConfig(e.ctx, r.App)
	switch {
	case err != nil || which == plan.KeptSecrets:
		return r, err
	case which == plan.NewestSecrets && !plan.AsksTheVault(r.Procs, config):
		return plan.Pinned(r, nil, nil), nil
	}
	err = e.stage(e.ctx, plan.Secrets, "Fetching secrets and config", func(ctx context.Context) (err error) {
		if which == plan.OldSecrets {
			err = e.p.o.Secrets.Restore(ctx, r.App, r.Procs)
		} else {
			r, err = e.deliver(ctx, r)
		}
		if err != nil {
			return err
		}
		return e.hide(ctx, r)
	})
	return r, err
}

// buildPaths are the secret files that a build sees.
func buildPaths(m *manifest.Manifest) []lain.SecretPath {
	var paths []lain.SecretPath
	for _, s := range m.Build.Secrets {
		paths = append(paths, lain.BuildSecretPath(s.Name))
	}
	return paths
}

// buildSecrets reads what the build sees, and keeps the values out of all that the run says from here on.
func (e *execution) buildSecrets(m *manifest.Manifest) ([]builder.Secret, error) {
	secrets, err := e.p.buildSecrets(e.ctx, m)
	if err != nil || len(secrets) == 0 {
		return nil, err
	}
	e.built = append(e.built, valuesOf(secrets)...)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hidden = redact.New(e.built)
	return secrets, nil
}

// buildSecrets reads what a build sees. A manifest that names none asks no vault.
func (p *Pipeline) buildSecrets(ctx context.Context, m *manifest.Manifest) ([]builder.Secret, error) {
	paths := buildPaths(m)
	if len(paths) == 0 {
		return nil, nil
	}
	files, err := p.o.Secrets.Build(ctx, m.AppName, paths)
	var secrets []builder.Secret
	for _, f := range files {
		secrets = append(secrets, builder.Secret{Name: path.Base(string(f.Path)), Version: f.Version, Value: f.Value})
	}
	return secrets, err
}

// valuesOf are what must not be shown of a build's secrets.
func valuesOf(secrets []builder.Secret) (values []string) {
	for _, s := range secrets {
		values = append(values, string(s.Value))
	}
	return values
}

// hide keeps the values out of all that the run says from here on.
func (e *execution) hide(ctx context.Context, r lain.Release) error {
	values, err := e.p.o.Secrets.Values(ctx, r.App, r.Procs)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hidden = redact.New(append(values, e.built...))
	return nil
}

func (e *execution) deliver(ctx context.Context, r lain.Release) (lain.Release, error) {
	d, err := e.p.o.Secrets.Deliver(ctx, r.App, needsOf(r.Procs))
	if err != nil {
		return r, err
	}
	for _, f := range d.Left {
		e.say(report.Warning, "%s runs without its secret file %s (secret_files_bypass)", f.Proc, f.Path)
		e.say(report.Detail, "To give it: %s", f.Command(r.App))
	}
	return plan.Pinned(r, d.Secrets, d.Config), nil
}

func (p *Pipeline) mayHaveConfig(ctx context.Context, app lain.AppName) (bool, error) {
	item, err := p.kinds.apps.Get(ctx, string(app))
	if errors.Is(err, state.ErrNotFound) {
		return false, nil
	}
	return item.Value.Config, err
}
