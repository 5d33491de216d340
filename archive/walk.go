package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lain.internal/lain/archive/format"
	"lain.internal/lain/lain/fault"
)

// walk copies parts of a data folder into an archive.
type walk struct {
	root *os.Root // the data folder: nothing outside it is ever read, whatever links lie in it
	out  *format.Writer
	apps map[string]bool // of the records
	done map[string]bool // parts that were copied
	left []string        // what is neither a file nor a folder
}

// part copies one, with the folders above it.
func (w *walk) part(ctx context.Context, p Part) (err error) {
	if _, err := w.root.Lstat(p.Path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if p.Quiesce != nil {
		release, err := p.Quiesce(ctx)
		if err != nil {
			return fmt.Errorf("make %s stand still: %w", p.Path, err)
		}
		defer release()
	}
	w.done[p.Path] = true
	return w.entry(ctx, p, p.Path)
}

// rest copies what no part is, and the caller did not leave out: a room that is newer than the list of parts is
// rather too much in a backup than not at all.
func (w *walk) rest(ctx context.Context, leave []string) error {
	names, err := w.names(".")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if w.done[name] || slices.Contains(leave, name) {
			continue
		}
		if err := w.entry(ctx, Part{Path: name}, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(ctx context.Context, p Part, at string) error {
	if temporary(at) || p.Skip != nil && at != p.Path && p.Skip(at, w.apps) {
		return nil
	}
	info, err := w.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.vanished(at)
	case err != nil:
		return err
	case info.IsDir():
		return w.folder(ctx, p, at, info)
	case info.Mode().IsRegular():
		return w.file(ctx, at)
	}
	w.left = append(w.left, at)
	return nil
}

// temporary are files of package atomicfile that are not in their place yet.
func temporary(at string) bool {
	name := path.Base(at)
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp")
}

func (w *walk) folder(ctx context.Context, p Part, at string, info fs.FileInfo) error {
	if err := w.out.Add(ctx, head(format.Folder, at, info), nil); err != nil {
		return err
	}
	names, err := w.names(at)
	if errors.Is(err, fs.ErrNotExist) {
		return w.vanished(at)
	}
	if err != nil {
		return err
	}
	for _, name := range p.sorted(at, names) {
		if err := w.entry(ctx, p, path.Join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) names(at string) ([]string, error) {
	d, err := w.root.Open(at)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// file copies what the file holds now. What is appended meanwhile is left out; a file never shrinks, since
// whoever changes one replaces it.
func (w *walk) file(ctx context.Context, at string) error {
	f, err := w.root.OpenFile(at, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return w.vanished(at)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return changed(at, nil)
	}
	return w.out.Add(ctx, head(format.File, at, info), f)
}

// vanished forgives a reference or a log that was removed after its folder was read, but no object.
func (w *walk) vanished(at string) error {
	if strings.Contains(at, "/objects/") || strings.Contains(at, "/blobs/") {
		return changed(at, fs.ErrNotExist)
	}
	return nil
}

func changed(at string, cause error) error {
	return fault.Hide(fault.Conflict, cause, "%s was changed by somebody else while it was copied", filepath.FromSlash(at)).
		WithHint("Try again. Nothing but laind may write below its data folder.")
}

func head(kind format.Kind, at string, info fs.FileInfo) format.Head {
	h := format.Head{Kind: kind, Path: at, Mode: info.Mode().Perm(), Size: info.Size(), Time: info.ModTime()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		h.UID, h.GID = int(s.Uid), int(s.Gid)
	}
	return h
}
