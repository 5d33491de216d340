package vaultbridge

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// MaxFile is the largest secret file, in bytes: what Swarm takes.
const MaxFile = 511_999

// DefaultMode is the mode of a secret file, as LAIN had it.
const DefaultMode = 0o400

// File is a secret file: its bytes, of which there may be none, and whose it is in the container.
type File struct {
	Value []byte
	UID   int    // 0: root
	GID   int    // 0: root
	Mode  uint32 // permission bits; 0: DefaultMode
}

// FileRef names a secret file of an application.
type FileRef struct {
	App   lain.AppName
	Scope lain.SecretScope
	Path  lain.SecretPath
}

// FileInfo is a secret file without its value. Version.By is not known here.
type FileInfo struct {
	Scope   lain.SecretScope `json:"scope"`
	Path    lain.SecretPath  `json:"path"`
	Version Version          `json:"version"` // the newest; it may be removed
}

// storedFile is a version as it lies in the vault; bytes are base64 there. Size marks an empty file as meant.
type storedFile struct {
	Value []byte      `json:"value"`
	Size  int         `json:"size"`
	UID   int         `json:"uid"`
	GID   int         `json:"gid"`
	Mode  uint32      `json:"mode"`
	By    lain.Person `json:"by"`
}

func (f storedFile) file() File { return File{Value: f.Value, UID: f.UID, GID: f.GID, Mode: f.Mode} }

// PutFile writes a new version of a secret file, the first one as well. A fault of kind Conflict means that
// somebody else wrote at the same moment, and nothing was written; see also Unsettled.
func (b *Bridge) PutFile(ctx context.Context, ref FileRef, f File, by lain.Person) (Version, error) {
	if f.Mode == 0 {
		f.Mode = DefaultMode
	}
	p, err := b.place(ref)
	if err != nil {
		return Version{}, err
	}
	if err := f.check(); err != nil {
		return Version{}, err
	}
	e, err := b.look(ctx, b.manager, p)
	if err != nil {
		return Version{}, err
	}
	return b.putFile(ctx, p, ref.Path, e.Current, f, by)
}

func (b *Bridge) putFile(ctx context.Context, p place, path lain.SecretPath, after int, f File, by lain.Person) (Version, error) {
	v, err := b.put(ctx, p, after, storedFile{f.Value, len(f.Value), f.UID, f.GID, f.Mode, by}, map[string]string{pathKey: string(path)})
	v.By = by
	return v, err
}

func (f File) check() error {
	switch {
	case len(f.Value) > MaxFile:
		return fault.New(fault.Invalid, "the file is larger than %d bytes, which is the most a secret file can have", MaxFile).
			WithHint("Encrypt it into the image or a volume, and keep the key as the secret.")
	case f.Mode > 0o777:
		return fault.New(fault.Invalid, "%o is not a mode of a secret file: use three octal digits, as 400", f.Mode)
	case f.UID < 0 || f.GID < 0 || f.UID > maxID || f.GID > maxID:
		return fault.New(fault.Invalid, "owner and group of a secret file are numbers from 0 to %d", maxID)
	}
	return nil
}

const maxID = 1<<31 - 2

// ParseOwner reads an owner or a group: a number, or root. "" is root.
func ParseOwner(s string) (int, error) {
	if s == "" || s == "root" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > maxID {
		return 0, fault.New(fault.Invalid, "%q is no owner or group of a secret file", clip(s)).
			WithHint("Give its number: only the image knows names. Or say root.")
	}
	return int(n), nil
}

// ParseMode reads octal permission bits: 400, or 0400. "" is DefaultMode.
func ParseMode(s string) (uint32, error) {
	if s == "" {
		return DefaultMode, nil
	}
	n, err := strconv.ParseUint(s, 8, 9)
	if err != nil || n == 0 {
		return 0, fault.New(fault.Invalid, "%q is no mode of a secret file: use three octal digits, as 400", clip(s))
	}
	return uint32(n), nil
}

// GetFile reads a version of a secret file; version 0 is the newest. A fault of kind NotFound when there is
// none, or it is removed.
func (b *Bridge) GetFile(ctx context.Context, ref FileRef, version int) (File, Version, error) {
	p, e, v, err := b.find(ctx, ref, version)
	if err != nil {
		return File{}, Version{}, err
	}
	f, err := b.storedFile(ctx, b.manager, p, v.Number)
	if isMissing(err) {
		return File{}, Version{}, noVersion(ref, e, v.Number, err)
	}
	v.By = f.By
	return f.file(), v, err
}

// storedFile reads a version whole. One that is not as PutFile writes it, since it was changed by hand, is refused:
// a proc with half a key, or with none, would do harm.
func (b *Bridge) storedFile(ctx context.Context, who *session, p place, version int) (storedFile, error) {
	var f storedFile
	err := b.value(ctx, who, p, version, &f)
	if err == nil && (len(f.Value) != f.Size || f.Mode == 0 || f.file().check() != nil) {
		return storedFile{}, fault.New(fault.Invalid, "version %d of a secret file is not in the vault as Lain wrote it", version).
			WithHint("Put it anew.")
	}
	return f, err
}

// ListFiles lists an application's secret files by path and scope, the removed ones too.
func (b *Bridge) ListFiles(ctx context.Context, app lain.AppName) ([]FileInfo, error) {
	return b.listFiles(ctx, b.manager, app)
}

func (b *Bridge) listFiles(ctx context.Context, who *session, app lain.AppName) ([]FileInfo, error) {
	var list []FileInfo
	err := b.walk(ctx, who, app, func(scope lain.SecretScope, p place) error {
		e, err := b.look(ctx, who, p)
		path, v := lain.SecretPath(e.Custom[pathKey]), e.newest()
		if own, not := b.filePlace(app, scope, path); err == nil && not == nil && own == p && v.Number > 0 {
			list = append(list, FileInfo{Scope: scope, Path: path, Version: v})
		}
		return err
	})
	slices.SortFunc(list, func(a, b FileInfo) int {
		return strings.Compare(string(a.Path)+"\x00"+string(a.Scope), string(b.Path)+"\x00"+string(b.Scope))
	})
	return list, err
}

// FileHistory lists the versions that the vault still knows (20 at most), the newest first. It reads their
// values, since who wrote them stands beside them.
func (b *Bridge) FileHistory(ctx context.Context, ref FileRef) ([]Version, error) {
	p, e, _, err := b.find(ctx, ref, 0)
	if err != nil && !isMissing(err) || e.Current == 0 {
		return nil, err
	}
	return b.signed(ctx, p, e.all())
}

// signed fills in who wrote the versions that can be read.
func (b *Bridge) signed(ctx context.Context, p place, versions []Version) ([]Version, error) {
	for i, v := range versions {
		if !v.Live() {
			continue
		}
		var written struct {
			By lain.Person `json:"by"`
		}
		if err := b.value(ctx, b.manager, p, v.Number, &written); err != nil && !isMissing(err) {
			return nil, err
		}
		versions[i].By = written.By
	}
	return versions, nil
}

// RemoveFile takes the newest version away; RollbackFile brings it back. What runs keeps its file until its
// next release. The answer is the version that was removed.
func (b *Bridge) RemoveFile(ctx context.Context, ref FileRef) (Version, error) {
	p, _, v, err := b.find(ctx, ref, 0)
	if err != nil {
		return Version{}, err
	}
	return v, b.remove(ctx, p, v.Number)
}

// RollbackFile writes an old version once more, as the newest. A removed one can be brought back like that; one
// that the vault no longer keeps cannot.
func (b *Bridge) RollbackFile(ctx context.Context, ref FileRef, to int, by lain.Person) (Version, error) {
	p, err := b.place(ref)
	if err != nil {
		return Version{}, err
	}
	e, err := b.look(ctx, b.manager, p)
	if err != nil {
		return Version{}, err
	}
	old := e.version(to)
	if old.Number == 0 || old.Gone {
		return Version{}, noVersion(ref, e, to, ErrNotFound)
	}
	if !old.Removed.IsZero() {
		if err := b.restore(ctx, p, to); err != nil {
			return Version{}, err
		}
	}
	f, err := b.storedFile(ctx, b.manager, p, to)
	if err != nil {
		return Version{}, err
	}
	return b.putFile(ctx, p, ref.Path, e.Current, f.file(), by)
}

// find is the version asked for (0: the newest), or a fault of kind NotFound.
func (b *Bridge) find(ctx context.Context, ref FileRef, version int) (place, entry, Version, error) {
	p, err := b.place(ref)
	if err != nil {
		return "", entry{}, Version{}, err
	}
	e, err := b.look(ctx, b.manager, p)
	if err != nil {
		return "", entry{}, Version{}, err
	}
	if version == 0 {
		version = e.Current
	}
	v := e.version(version)
	if !v.Live() {
		return p, e, v, noVersion(ref, e, version, ErrNotFound)
	}
	return p, e, v, nil
}

func (b *Bridge) place(ref FileRef) (place, error) {
	p, err := b.filePlace(ref.App, ref.Scope, ref.Path)
	if err != nil {
		return "", fault.New(fault.Invalid, "%s", err)
	}
	return p, nil
}

func noVersion(ref FileRef, e entry, version int, cause error) error {
	whose := ""
	if proc := ref.Scope.Proc(); proc != "" {
		whose = " of proc " + string(proc)
	}
	switch v := e.version(version); {
	case e.Current == 0:
		return fault.Hide(fault.NotFound, cause, "%s has no secret file %s%s", ref.App, ref.Path, whose).WithHint("See: secret list %s", ref.App)
	case !v.Removed.IsZero():
		return fault.Hide(fault.NotFound, cause, "version %d of the secret file %s%s was removed", version, ref.Path, whose).
			WithHint("Bring it back with: secret rollback%s %s %s %d", option(ref.Scope), ref.App, quoted(ref.Path), version)
	}
	return fault.Hide(fault.NotFound, cause, "the vault does not keep version %d of the secret file %s%s", version, ref.Path, whose).
		WithHint("See: secret history%s %s %s", option(ref.Scope), ref.App, quoted(ref.Path))
}

// option is how a verb says the proc.
func option(scope lain.SecretScope) string {
	if proc := scope.Proc(); proc != "" {
		return " -p " + string(proc)
	}
	return ""
}

// quoted is a path as our own parser of verbs, and a shell, take it, whatever it holds.
func quoted(path lain.SecretPath) string { return quote(string(path)) }

// quotedTwice is a path for a shell that hands it on to ssh, which takes one pair of quotes away.
func quotedTwice(path lain.SecretPath) string { return quote(quoted(path)) }

func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
