package vaultbridge

import (
	"context"
	"maps"
	"slices"

	"lain.internal/lain/lain"
)

// Values are the bytes that must not be shown: of every newest version of an application, and of the versions
// that the procs of a release pin. They are for a redactor, and for nothing else. Versions that the vault does
// not keep any more are passed over.
func (b *Bridge) Values(ctx context.Context, app lain.AppName, procs []lain.ProcSpec) ([]string, error) {
	config, err := b.configPlace(app)
	if err != nil {
		return nil, err
	}
	which := b.pinned(app, config, procs)
	err = b.walk(ctx, b.app(app), app, func(_ lain.SecretScope, p place) error { return b.noteNewest(ctx, app, p, which) })
	if err != nil {
		return nil, err
	}
	if err := b.noteNewest(ctx, app, config, which); err != nil {
		return nil, err
	}
	var values []string
	for v := range which {
		some, err := b.valuesOf(ctx, app, v, v.place == config)
		if err != nil && !isMissing(err) {
			return nil, err
		}
		values = append(values, some...)
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

type placeVersion struct {
	place   place
	version int
}

func (b *Bridge) pinned(app lain.AppName, config place, procs []lain.ProcSpec) map[placeVersion]bool {
	which := map[placeVersion]bool{}
	for _, proc := range procs {
		if proc.Config != nil {
			which[placeVersion{config, proc.Config.Version}] = true
		}
		for _, m := range proc.Secrets {
			if p, err := b.filePlace(app, m.Scope, m.Path); err == nil {
				which[placeVersion{p, m.Version}] = true
			}
		}
	}
	return which
}

func (b *Bridge) noteNewest(ctx context.Context, app lain.AppName, p place, which map[placeVersion]bool) error {
	e, err := b.look(ctx, b.app(app), p)
	if err == nil && e.newest().Live() {
		which[placeVersion{p, e.Current}] = true
	}
	return err
}

func (b *Bridge) valuesOf(ctx context.Context, app lain.AppName, v placeVersion, config bool) ([]string, error) {
	if !config {
		f, err := b.storedFile(ctx, b.app(app), v.place, v.version)
		return []string{string(f.Value)}, err
	}
	values, err := b.configValues(ctx, b.app(app), v.place, v.version)
	return slices.Collect(maps.Values(texts(values))), err
}
