package vaultbridge

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"lain.internal/lain/helper/start"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// storedConfig is a version of an application's config values; bytes are base64 in the vault.
type storedConfig struct {
	Values map[string][]byte `json:"values"`
	By     lain.Person       `json:"by"`
}

// mergeTries is how often a change is made anew when somebody else wrote in between: another key is no conflict.
const mergeTries = 8

// SetConfig sets config values, all or none of them, and leaves the others. The answer is the newest version,
// which is no new one where nothing changed. A name or value that cannot be is a fault of kind Invalid.
func (b *Bridge) SetConfig(ctx context.Context, app lain.AppName, values map[string]string, by lain.Person) (Version, error) {
	return b.changeConfig(ctx, app, by, func(now map[string][]byte) error {
		for key, value := range values {
			now[key] = []byte(value)
		}
		return nil
	})
}

// UnsetConfig takes config values away, all or none of them: a name that is not set is a fault of kind NotFound.
func (b *Bridge) UnsetConfig(ctx context.Context, app lain.AppName, keys []string, by lain.Person) (Version, error) {
	return b.changeConfig(ctx, app, by, func(now map[string][]byte) error {
		for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
			if _, set := now[key]; !set {
				return fault.New(fault.NotFound, "%s has no config value %s", app, clip(key)).WithHint("See: config list %s", app)
			}
			delete(now, key)
		}
		return nil
	})
}

func (b *Bridge) changeConfig(ctx context.Context, app lain.AppName, by lain.Person, change func(map[string][]byte) error) (Version, error) {
	p, err := b.configPlace(app)
	if err != nil {
		return Version{}, fault.New(fault.Invalid, "%s", err)
	}
	for try := 1; ; try++ {
		v, err := b.changeOnce(ctx, p, by, change)
		if try == mergeTries || !errors.Is(err, ErrConflict) {
			return v, err
		}
	}
}

func (b *Bridge) changeOnce(ctx context.Context, p place, by lain.Person, change func(map[string][]byte) error) (Version, error) {
	e, err := b.look(ctx, b.manager, p)
	if err != nil {
		return Version{}, err
	}
	now, err := b.configAt(ctx, b.manager, p, e.newest())
	if err != nil {
		return Version{}, err
	}
	next := maps.Clone(now)
	if err := change(next); err != nil {
		return Version{}, err
	}
	if maps.EqualFunc(now, next, bytes.Equal) && e.newest().Live() {
		return e.newest(), nil
	}
	return b.putConfig(ctx, p, e.Current, next, by)
}

func (b *Bridge) putConfig(ctx context.Context, p place, after int, values map[string][]byte, by lain.Person) (Version, error) {
	if _, err := start.FormatConfig(texts(values)); err != nil {
		return Version{}, fault.New(fault.Invalid, "%s", err)
	}
	v, err := b.put(ctx, p, after, storedConfig{values, by}, map[string]string{pathKey: string(lain.ConfigPath)})
	v.By = by
	return v, err
}

// Config reads the values of a version; version 0 is the newest, and without any there are none, with number 0.
func (b *Bridge) Config(ctx context.Context, app lain.AppName, version int) (map[string]string, Version, error) {
	p, e, err := b.config(ctx, app)
	if err != nil {
		return nil, Version{}, err
	}
	v := e.newest()
	if version != 0 {
		if v = e.version(version); !v.Live() {
			return nil, Version{}, noConfig(app, version)
		}
	}
	values, err := b.configAt(ctx, b.manager, p, v)
	return texts(values), v, err
}

// ConfigKeys are the names of the config values that are set now, sorted.
func (b *Bridge) ConfigKeys(ctx context.Context, app lain.AppName) ([]string, Version, error) {
	values, v, err := b.Config(ctx, app, 0)
	return slices.Sorted(maps.Keys(values)), v, err
}

// ConfigHistory lists the versions that the vault still knows (20 at most), the newest first.
func (b *Bridge) ConfigHistory(ctx context.Context, app lain.AppName) ([]Version, error) {
	p, e, err := b.config(ctx, app)
	if err != nil {
		return nil, err
	}
	return b.signed(ctx, p, e.all())
}

// RollbackConfig writes all values of an old version once more, as the newest.
func (b *Bridge) RollbackConfig(ctx context.Context, app lain.AppName, to int, by lain.Person) (Version, error) {
	p, e, err := b.config(ctx, app)
	if err != nil {
		return Version{}, err
	}
	if !e.version(to).Live() {
		return Version{}, noConfig(app, to)
	}
	values, err := b.configAt(ctx, b.manager, p, e.version(to))
	if err != nil {
		return Version{}, err
	}
	return b.putConfig(ctx, p, e.Current, values, by)
}

func (b *Bridge) config(ctx context.Context, app lain.AppName) (place, entry, error) {
	p, err := b.configPlace(app)
	if err != nil {
		return "", entry{}, fault.New(fault.Invalid, "%s", err)
	}
	e, err := b.look(ctx, b.manager, p)
	return p, e, err
}

// configAt reads the values of a version; one that is not live has none.
func (b *Bridge) configAt(ctx context.Context, who *session, p place, v Version) (map[string][]byte, error) {
	if !v.Live() {
		return map[string][]byte{}, nil
	}
	return b.configValues(ctx, who, p, v.Number)
}

// configValues reads a version. One that is not as SetConfig writes it, since it was changed by hand, is refused.
func (b *Bridge) configValues(ctx context.Context, who *session, p place, version int) (map[string][]byte, error) {
	var stored storedConfig
	if err := b.value(ctx, who, p, version, &stored); err != nil {
		return nil, err
	}
	if stored.Values == nil {
		return nil, fault.New(fault.Invalid, "version %d of the config values is not in the vault as Lain wrote it", version).
			WithHint("Roll back to an older one: config rollback.")
	}
	return stored.Values, nil
}

func noConfig(app lain.AppName, version int) error {
	return fault.Hide(fault.NotFound, ErrNotFound, "the vault does not keep version %d of the config values of %s", version, app).
		WithHint("See: config history %s", app)
}

func texts(values map[string][]byte) map[string]string {
	out := make(map[string]string, len(values))
	for key, value := range values {
		out[key] = string(value)
	}
	return out
}

// clip keeps a hostile name from filling a sentence, or from breaking it.
func clip(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strings.ToValidUTF8(strings.Map(printable, s), "?")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
