package vaultbridge

import (
	"cmp"
	"context"
	"slices"

	"lain.internal/lain/lain"
)

// parcel is a version of an entry, and what the engine calls it.
type parcel struct {
	place   place
	name    string
	version int
}

type wantedFile struct {
	parcel
	proc  lain.ProcName
	scope lain.SecretScope
	path  lain.SecretPath
}

// wanted is what the newest versions in the vault mean for a release.
type wanted struct {
	files   []wantedFile // by proc and path
	config  parcel       // version 0: none
	missing []MissingFile
	left    []MissingFile // by bypass
}

func (w wanted) empty() bool { return len(w.files) == 0 && w.config.version == 0 }

// want looks up the newest versions. It reads no value.
func (b *Bridge) want(ctx context.Context, app lain.AppName, needs []Need) (wanted, error) {
	var w wanted
	for _, need := range sorted(needs) {
		for _, path := range need.Files {
			f, found, err := b.wantFile(ctx, app, need.Proc, path)
			switch missing := (MissingFile{Proc: need.Proc, Path: path}); {
			case err != nil:
				return wanted{}, err
			case found:
				w.files = append(w.files, f)
			case need.Bypass:
				w.left = append(w.left, missing)
			default:
				w.missing = append(w.missing, missing)
			}
		}
	}
	p, err := b.configPlace(app)
	if err != nil {
		return wanted{}, err
	}
	w.config, _, err = b.wantEntry(ctx, b.asker(app, w), p)
	return w, err
}

// asker is the application's session, but the manager's while no file was found: an application that keeps
// nothing in the vault gets no role there.
func (b *Bridge) asker(app lain.AppName, w wanted) *session {
	if len(w.files) == 0 {
		return b.manager
	}
	return b.app(app)
}

// wantFile prefers the proc's own file to every proc's.
func (b *Bridge) wantFile(ctx context.Context, app lain.AppName, proc lain.ProcName, path lain.SecretPath) (wantedFile, bool, error) {
	for _, scope := range []lain.SecretScope{lain.ScopeOf(proc), lain.EveryProc} {
		p, err := b.filePlace(app, scope, path)
		if err != nil {
			return wantedFile{}, false, err
		}
		parcel, found, err := b.wantEntry(ctx, b.app(app), p)
		if err != nil || found {
			return wantedFile{parcel: parcel, proc: proc, scope: scope, path: path}, found, err
		}
	}
	return wantedFile{}, false, nil
}

func (b *Bridge) wantEntry(ctx context.Context, who *session, p place) (parcel, bool, error) {
	e, err := b.look(ctx, who, p)
	v := e.newest()
	if err != nil || !v.Live() {
		return parcel{}, false, err
	}
	return parcel{place: p, name: b.engineName(p, v.Number, v.At), version: v.Number}, true, nil
}

// sorted is needs by proc, with each path once, sorted: the same needs make the same release.
func sorted(needs []Need) []Need {
	out := slices.SortedFunc(slices.Values(needs), func(a, b Need) int { return cmp.Compare(a.Proc, b.Proc) })
	for i, n := range out {
		out[i].Files = slices.Compact(slices.Sorted(slices.Values(n.Files)))
	}
	return out
}
