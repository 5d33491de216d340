package vaultbridge

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"lain.internal/lain/lain"
)

// Change is a difference between what a release pinned and what the next one would get. It holds no value.
type Change struct {
	Proc lain.ProcName   `json:"proc,omitempty"` // "" for config
	Path lain.SecretPath `json:"path,omitempty"` // "" for config
	Key  string          `json:"key,omitempty"`  // of a config value
	From int             `json:"from"`           // version in the release; 0: not there
	To   int             `json:"to"`             // newest version; 0: removed
}

// Pending lists what was written and no release has taken up: needs as the release declares them, and its procs
// as they are pinned. Of config, each name that was added, changed or removed is a change of its own. Sorted.
func (b *Bridge) Pending(ctx context.Context, app lain.AppName, needs []Need, procs []lain.ProcSpec) ([]Change, error) {
	w, err := b.want(ctx, app, needs)
	if err != nil {
		return nil, err
	}
	changes := fileChanges(w.files, procs)
	if from, same := pinnedConfig(procs, w.config.name); !same {
		more, err := b.configChanges(ctx, app, from, w.config.version)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Proc, b.Proc), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Key, b.Key))
	})
	return changes, nil
}

type procPath struct {
	proc lain.ProcName
	path lain.SecretPath
}

// fileChanges compares by the engine's names, which a version of the same number does not share with that of an
// application that was made again.
func fileChanges(files []wantedFile, procs []lain.ProcSpec) []Change {
	pinned := map[procPath]lain.SecretMount{}
	for _, p := range procs {
		for _, m := range p.Secrets {
			pinned[procPath{p.Name, m.Path}] = m
		}
	}
	var changes []Change
	for _, f := range files {
		at := procPath{f.proc, f.path}
		if old := pinned[at]; old.Secret != f.name {
			changes = append(changes, Change{Proc: f.proc, Path: f.path, From: old.Version, To: f.version})
		}
		delete(pinned, at)
	}
	for at, old := range pinned {
		changes = append(changes, Change{Proc: at.proc, Path: at.path, From: old.Version})
	}
	return changes
}

// pinnedConfig is the version that procs pin, and whether all pin the one of that name ("" for none).
func pinnedConfig(procs []lain.ProcSpec, name string) (version int, same bool) {
	same = true
	for _, p := range procs {
		switch {
		case p.Config == nil:
			same = same && name == ""
		default:
			same = same && p.Config.Secret == name
			version = max(version, p.Config.Version)
		}
	}
	return version, same && (len(procs) > 0 || name == "")
}

func (b *Bridge) configChanges(ctx context.Context, app lain.AppName, from, to int) ([]Change, error) {
	p, e, err := b.config(ctx, app)
	if err != nil {
		return nil, err
	}
	old, err := b.configAt(ctx, b.manager, p, e.version(from))
	if err != nil {
		return nil, err
	}
	next, err := b.configAt(ctx, b.manager, p, e.version(to))
	if err != nil {
		return nil, err
	}
	return keyChanges(old, next, from, to), nil
}

func keyChanges(old, next map[string][]byte, from, to int) []Change {
	var changes []Change
	for key, value := range next {
		if before, was := old[key]; !was {
			changes = append(changes, Change{Key: key, To: to})
		} else if !bytes.Equal(before, value) {
			changes = append(changes, Change{Key: key, From: from, To: to})
		}
	}
	for key := range maps.Keys(old) {
		if _, still := next[key]; !still {
			changes = append(changes, Change{Key: key, From: from})
		}
	}
	return changes
}
