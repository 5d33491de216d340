package vaultbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/lain"
)

// Version is one version of a secret file, or of an application's config values. It holds no value.
type Version struct {
	Number  int         `json:"version"`
	At      time.Time   `json:"at"`
	By      lain.Person `json:"by,omitempty"`       // "" where the version is removed: it stood beside the value
	Removed time.Time   `json:"removed,omitzero"`   // it can be brought back
	Gone    bool        `json:"destroyed,omitzero"` // it cannot
}

// Live reports whether the version can be read.
func (v Version) Live() bool { return v.Number > 0 && v.Removed.IsZero() && !v.Gone }

// entry is what the vault says of an entry without its values.
type entry struct {
	Current  int                  `json:"current_version"`
	Versions map[string]versionOf `json:"versions"`
	Custom   map[string]string    `json:"custom_metadata"`
}

type versionOf struct {
	Created   time.Time `json:"created_time"`
	Deleted   string    `json:"deletion_time"` // "" for one that is not
	Destroyed bool      `json:"destroyed"`
}

// pathKey is the custom metadata that says which path an entry is for.
const pathKey = "path"

// newest is the newest version; number 0 where there is none.
func (e entry) newest() Version { return e.version(e.Current) }

func (e entry) version(n int) Version {
	v, kept := e.Versions[strconv.Itoa(n)]
	if !kept {
		return Version{}
	}
	out := Version{Number: n, At: v.Created, Gone: v.Destroyed}
	out.Removed, _ = time.Parse(time.RFC3339Nano, v.Deleted) // "" is the zero time
	return out
}

// all are the versions that the vault still knows, the newest first.
func (e entry) all() []Version {
	var out []Version
	for _, key := range slices.Collect(maps.Keys(e.Versions)) {
		if n, err := strconv.Atoi(key); err == nil {
			out = append(out, e.version(n))
		}
	}
	slices.SortFunc(out, func(a, b Version) int { return b.Number - a.Number })
	return out
}

// look reads what there is of an entry; a zero one where there is nothing.
func (b *Bridge) look(ctx context.Context, who *session, p place) (e entry, err error) {
	err = b.read(ctx, who, func(ctx context.Context, c *api.Client) error {
		e = entry{}
		s, err := c.Logical().ReadWithContext(ctx, b.metadata(p))
		if err != nil || s == nil {
			return err
		}
		return decode(s.Data, &e)
	})
	return e, err
}

// value reads a version of an entry into out; a version that is removed or unknown is ErrNotFound.
func (b *Bridge) value(ctx context.Context, who *session, p place, version int, out any) error {
	return b.read(ctx, who, func(ctx context.Context, c *api.Client) error {
		s, err := c.Logical().ReadWithDataWithContext(ctx, b.data(p), map[string][]string{"version": {strconv.Itoa(version)}})
		if err != nil {
			return err
		}
		if s == nil || s.Data["data"] == nil {
			return ErrNotFound
		}
		return decode(s.Data["data"], out)
	})
}

// put writes a new version of an entry, whose newest version must be after; the answer is the new one. custom is
// written before an entry's first version, so that there is no version without it.
func (b *Bridge) put(ctx context.Context, p place, after int, data any, custom map[string]string) (Version, error) {
	if after == 0 {
		if err := b.prepare(ctx, p, custom); err != nil {
			return Version{}, err
		}
	}
	var made struct {
		Version int       `json:"version"`
		Created time.Time `json:"created_time"`
	}
	err := b.write(ctx, "vault.data.put", b.manager, func(ctx context.Context, c *api.Client) error {
		s, err := c.Logical().WriteWithContext(ctx, b.data(p), map[string]any{"data": data, "options": map[string]any{"cas": after}})
		if err != nil {
			return err
		}
		return decode(answer(s), &made)
	})
	return Version{Number: made.Version, At: made.Created}, err
}

func (b *Bridge) prepare(ctx context.Context, p place, custom map[string]string) error {
	return b.write(ctx, "vault.metadata.put", b.manager, func(ctx context.Context, c *api.Client) error {
		_, err := c.Logical().WriteWithContext(ctx, b.metadata(p),
			map[string]any{"max_versions": keptVersions, "cas_required": true, "custom_metadata": custom})
		return err
	})
}

// remove takes one version away, so that it can be brought back. A newer one, written meanwhile, stays.
func (b *Bridge) remove(ctx context.Context, p place, version int) error {
	return b.write(ctx, "vault.data.remove", b.manager, func(ctx context.Context, c *api.Client) error {
		_, err := c.Logical().WriteWithContext(ctx, b.delete(p), map[string]any{"versions": []int{version}})
		return err
	})
}

func (b *Bridge) restore(ctx context.Context, p place, version int) error {
	return b.write(ctx, "vault.data.restore", b.manager, func(ctx context.Context, c *api.Client) error {
		_, err := c.Logical().WriteWithContext(ctx, b.undelete(p), map[string]any{"versions": []int{version}})
		return err
	})
}

// list names what lies in a folder; those of folders end in "/". None is no error.
func (b *Bridge) list(ctx context.Context, who *session, p place) (names []string, err error) {
	err = b.read(ctx, who, func(ctx context.Context, c *api.Client) error {
		names = nil
		s, err := c.Logical().ListWithContext(ctx, b.metadata(p))
		if err != nil || s == nil {
			return err
		}
		return decode(s.Data["keys"], &names)
	})
	return names, err
}

// walk calls visit for every entry of files of an application, by scope.
func (b *Bridge) walk(ctx context.Context, who *session, app lain.AppName, visit func(lain.SecretScope, place) error) error {
	g, err := b.ground(app)
	if err != nil {
		return err
	}
	scopes, err := b.list(ctx, who, g+"files/")
	for i := 0; i < len(scopes) && err == nil; i++ {
		err = b.walkScope(ctx, who, g, lain.SecretScope(strings.TrimSuffix(scopes[i], "/")), visit)
	}
	return err
}

func (b *Bridge) walkScope(ctx context.Context, who *session, g place, scope lain.SecretScope, visit func(lain.SecretScope, place) error) error {
	folder := g + place("files/"+string(scope)+"/")
	names, err := b.list(ctx, who, folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := visit(scope, folder+place(name)); err != nil {
			return err
		}
	}
	return nil
}

func answer(s *api.Secret) any {
	if s == nil {
		return nil
	}
	return s.Data
}

// decode turns the vault's loosely typed answer into ours. Its error names no value.
func decode(from, into any) error {
	data, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("the vault's answer has a %s where a %s is wanted", wrong.Value, wrong.Type)
	}
	if err != nil {
		return errors.New("the vault's answer is not what was asked for")
	}
	return nil
}
