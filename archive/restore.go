package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lain.internal/lain/archive/format"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// SettingsFile is where a restore puts the laind.yaml of an archive, below the data folder, for the operator to
// compare: what the server reads lies elsewhere, and is the machine's.
const SettingsFile = "laind.yaml.restored"

// storeDir is where laind has its store. A file of an archive cannot lie there: records come as records.
const storeDir = "etcd"

// Target is where an archive is to be put.
type Target struct {
	Data    string       // the data folder, absolute
	Cluster lain.Cluster // must be the archive's
	Force   bool         // move a data folder that is not empty aside
	Now     func() time.Time
	Logger  *slog.Logger // none if nil
}

// Restored says what became of it.
type Restored struct {
	Summary
	Before   string `json:"before,omitempty"`   // where the former data folder is now
	Settings string `json:"settings,omitempty"` // where the archive's laind.yaml is
}

// Read restores an archive, in the clear, from r, which must give an error where it was cut. Either all of it is
// in place when Read returns, or nothing has changed. A process that dies meanwhile leaves the staging folder,
// which the next Read takes over.
func (t Target) Read(ctx context.Context, r io.Reader) (result Restored, err error) {
	p, err := prepare(t.Data, t.Force)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, p.leave()) }()
	if result, err = t.stage(ctx, p.staging, r); err != nil {
		return Restored{}, errors.Join(explain(err), p.abandon())
	}
	if result.Before, err = p.swap(t.Now()); err != nil {
		return Restored{}, errors.Join(explain(err), p.abandon())
	}
	return result, syncDir(filepath.Dir(p.data))
}

// explain says what a person makes of a broken archive; whatever it is, nothing has changed.
func explain(err error) error {
	if _, ok := errors.AsType[*fault.Fault](err); ok {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fault.Hide(fault.Cancelled, err, "the restore was stopped; nothing has changed")
	case errors.Is(err, format.ErrNewer):
		return fault.Hide(fault.Invalid, err, "the backup was made by a newer lain than this one; nothing has changed").
			WithHint("Restore it with a laind at least as new as the one that made it.")
	case errors.Is(err, format.ErrCut):
		return fault.Hide(fault.Invalid, err, "the backup was cut off; nothing has changed")
	case errors.Is(err, format.ErrHostile), errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fault.Hide(fault.Denied, err, "the backup holds what lain never puts into one (%s); nothing has changed", reason(err))
	case errors.As(err, new(*os.PathError)), errors.As(err, new(*os.LinkError)), errors.As(err, new(*os.SyscallError)):
		return fault.Hide(fault.Unavailable, err, "the backup cannot be put on this disk (%s); nothing has changed", reason(err))
	}
	return fault.Hide(fault.Invalid, err, "the backup is damaged (%s); nothing has changed", reason(err))
}

func reason(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

// stage makes the whole data folder under another name, and believes nothing before the archive's end.
func (t Target) stage(ctx context.Context, dir string, r io.Reader) (result Restored, err error) {
	in, err := format.NewReader(r)
	if err != nil {
		return result, err
	}
	m := in.Manifest()
	if m.Cluster != t.Cluster {
		return result, fault.New(fault.Invalid, "the backup is of the cluster %s, not of %s; nothing has changed", m.Cluster, t.Cluster).
			WithHint("Give --cluster %s, here and to laind serve.", m.Cluster)
	}
	result.Summary = Summary{Cluster: m.Cluster, Lain: m.Lain, Time: m.Time, Revision: m.Revision}
	s, err := t.open(ctx, dir)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.all(ctx, in, &result); err != nil {
		return result, err
	}
	result.Entries, result.Bytes = in.Seal().Entries, in.Seal().Bytes
	return result, nil
}

// stager writes below the staging folder and nowhere else.
type stager struct {
	root   *os.Root
	store  *state.Store
	socket string // folder of the store's
	data   string
	as     bool // root: owners are restored
}

func (t Target) open(ctx context.Context, dir string) (*stager, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	socket, err := os.MkdirTemp("", "lain-")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	s := &stager{root: root, socket: socket, data: filepath.Clean(t.Data), as: os.Geteuid() == 0}
	s.store, err = state.Open(ctx, state.Options{Dir: filepath.Join(dir, storeDir), Socket: filepath.Join(socket, "etcd.sock"),
		Cluster: t.Cluster, Logger: t.Logger})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stager) close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	return errors.Join(err, s.root.Close(), os.RemoveAll(s.socket))
}

func (s *stager) all(ctx context.Context, in *format.Reader, result *Restored) error {
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.entry(ctx, h, in, result); err != nil {
			return err
		}
	}
}

func (s *stager) entry(ctx context.Context, h format.Head, in io.Reader, result *Restored) error {
	switch h.Kind {
	case format.Records:
		return s.records(ctx, in, result)
	case format.Settings:
		result.Settings = filepath.Join(s.data, SettingsFile)
		h.Path, h.Mode, h.UID, h.GID = SettingsFile, 0o600, 0, 0
		return s.file(h, in)
	}
	if top, _, _ := strings.Cut(h.Path, "/"); top == storeDir {
		return fmt.Errorf("%w: a file in the folder of the store", format.ErrHostile)
	}
	if h.Kind == format.Folder {
		return s.folder(h)
	}
	return s.file(h, in)
}

// records loads a page, in pieces that fit in memory.
func (s *stager) records(ctx context.Context, page io.Reader, result *Restored) error {
	var batch []state.Raw
	flush := func() error {
		err := s.store.Load(ctx, batch)
		batch = nil
		return err
	}
	err := format.ReadRecords(page, func(r format.Record) error {
		result.Records++
		if app, ok := strings.CutPrefix(r.Key, lain.AppsPrefix); ok && app != "" {
			result.Apps++
		}
		if !stale(r.Key) {
			batch = append(batch, state.Raw{Key: r.Key, Data: r.Value})
		}
		if len(batch) < 64 {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// stale are records of what was seen, which are wrong anywhere but where they were written. Addresses of
// containers could by now be another application's; how far a router is was counted in revisions of the former
// store, and the pipeline would take it for an answer to what it asks of the new one. Both are written anew at
// once.
func stale(key string) bool {
	return strings.HasPrefix(key, lain.EndpointsPrefix) || strings.HasPrefix(key, lain.NodesPrefix) && path.Base(key) == "router"
}

// folder makes one; what is above it came before it.
func (s *stager) folder(h format.Head) error {
	return failpoint.Around("archive.folder", func() error {
		if err := s.root.Mkdir(h.Path, 0o700); err != nil {
			return err
		}
		return s.dress(h)
	})
}

// file makes one, which must be new.
func (s *stager) file(h format.Head, content io.Reader) error {
	return failpoint.Around("archive.file", func() error {
		f, err := s.root.OpenFile(h.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return s.dress(h)
	})
}

// dress gives an entry its owner, mode and time. The mode comes last: a new owner clears parts of it.
func (s *stager) dress(h format.Head) error {
	if s.as {
		if err := s.root.Lchown(h.Path, h.UID, h.GID); err != nil {
			return err
		}
	}
	if err := s.root.Chmod(h.Path, h.Mode); err != nil {
		return err
	}
	if h.Kind == format.Folder {
		return nil
	}
	return s.root.Chtimes(h.Path, h.Time, h.Time)
}
