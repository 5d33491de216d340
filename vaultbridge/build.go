package vaultbridge

import (
	"context"

	"lain.internal/lain/lain"
)

// BuildFile is the newest version of a secret file that a build sees. It holds the value: never log it.
type BuildFile struct {
	Path    lain.SecretPath
	Version string // names the version and nothing of the value; another one of an application that was made anew
	Value   []byte
}

// String hides the value from logs.
func (f BuildFile) String() string { return string(f.Path) + " as " + f.Version }

// GoString hides it from %#v too.
func (f BuildFile) GoString() string { return f.String() }

// Build reads the files that a build of an application needs, those for every proc. When some are not in the vault, the
// error is a *MissingError with all of them. The engine gets nothing.
func (c *Courier) Build(ctx context.Context, app lain.AppName, paths []lain.SecretPath) ([]BuildFile, error) {
	w, err := c.bridge.want(ctx, app, []Need{{Files: paths}})
	if err != nil {
		return nil, err
	}
	if len(w.missing) > 0 {
		return nil, &MissingError{App: app, Files: w.missing}
	}
	var files []BuildFile
	for _, f := range w.files {
		stored, err := c.bridge.storedFile(ctx, c.bridge.app(app), f.place, f.version)
		if err != nil {
			return nil, err
		}
		files = append(files, BuildFile{Path: f.path, Version: f.name, Value: stored.Value})
	}
	return files, nil
}
