package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// What callers may test for.
var (
	ErrNotFound = errors.New("no such repository, revision or file")
	ErrExists   = errors.New("the repository exists already")
	ErrMoved    = errors.New("the ref does not have the expected value")
)

// The object formats a repository may have.
const (
	SHA1   = "sha1"
	SHA256 = "sha256"
)

// Options of a store.
type Options struct {
	Root          string // folder of the repositories: absolute, reachable by UID; made when missing
	Git           string // git's program; "git" in PATH when empty
	UID, GID      uint32 // whom git runs as; ignored when this process is not root
	HookDir       string // core.hooksPath; not writable by UID
	MaxInputBytes int64  // the largest pack a push may send; 2 GiB when 0

	// Removing is asked before Maintain drops or moves objects; it waits while they must stay, and is told the end
	// by leave. nil: they never must.
	Removing func(context.Context) (in context.Context, leave func(), err error)
}

// Store is the folder of all repositories. It is safe for concurrent use.
type Store struct {
	o       Options
	version string
}

// NewStore prepares the folder and checks that git can be run as the user that is to run it.
func NewStore(ctx context.Context, o Options) (*Store, error) {
	if err := complete(&o); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Root, 0o711); err != nil {
		return nil, fmt.Errorf("folder of the repositories: %w", err)
	}
	if err := sweep(o.Root); err != nil {
		return nil, err
	}
	if err := atomicfile.Ensure(filepath.Join(o.Root, settingsFile), []byte(settings(o)), 0o644); err != nil {
		return nil, fmt.Errorf("settings of the repositories: %w", err)
	}
	s := &Store{o: o}
	out, err := s.git(o.Root, "version").output(ctx, 1<<10)
	if err != nil {
		return nil, fmt.Errorf("git does not run as uid %d in %s (is every folder above it open to that user, as with mode 0711?): %w", o.UID, o.Root, err)
	}
	s.version = strings.TrimSpace(string(out))
	return s, nil
}

func complete(o *Options) error {
	if !filepath.IsAbs(o.Root) || !filepath.IsAbs(o.HookDir) {
		return fmt.Errorf("the folders of repositories and of hooks must be absolute paths, not %q and %q", o.Root, o.HookDir)
	}
	if o.Git == "" {
		o.Git = "git"
	}
	if o.MaxInputBytes <= 0 {
		o.MaxInputBytes = 2 << 30
	}
	if os.Geteuid() == 0 && o.UID == 0 {
		return errors.New("git must not run as root: give it a user id of its own")
	}
	return nil
}

// sweep removes what a crash left half made or half removed.
func sweep(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("folder of the repositories: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
				return fmt.Errorf("remove a leftover: %w", err)
			}
		}
	}
	return nil
}

// tempPrefix begins the names of what is not, or no longer, a repository.
const tempPrefix = ".tmp-"

// GitVersion is what git says of itself: "git version 2.39.5".
func (s *Store) GitVersion() string { return s.version }

func (s *Store) path(app lain.AppName) string {
	return filepath.Join(s.o.Root, string(app)+".git")
}

// Create makes the repository of an application. ErrExists when there is one. A crash leaves the whole
// repository or none.
func (s *Store) Create(ctx context.Context, app lain.AppName, objectFormat string) (*Repository, error) {
	if _, err := lain.ParseAppName(string(app)); err != nil {
		return nil, err
	}
	if objectFormat != SHA1 && objectFormat != SHA256 {
		return nil, fmt.Errorf("object format %q is neither %s nor %s", objectFormat, SHA1, SHA256)
	}
	temp, err := s.make(ctx, objectFormat)
	if err != nil {
		return nil, fmt.Errorf("make the repository of %s: %w", app, err)
	}
	err = failpoint.Around("git.create", func() error { return renameNew(temp, s.path(app)) })
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	return s.Open(ctx, app)
}

// make initialises a repository under a temporary name.
func (s *Store) make(ctx context.Context, objectFormat string) (string, error) {
	temp, err := os.MkdirTemp(s.o.Root, tempPrefix)
	if err != nil {
		return "", err
	}
	err = func() error {
		if err := s.give(temp); err != nil {
			return err
		}
		if _, err := s.git(temp, "init", "--quiet", "--bare", "--template=", "--initial-branch=main",
			"--object-format="+objectFormat, ".").output(ctx, 1<<16); err != nil {
			return err
		}
		if _, err := s.git(temp, "config", "include.path", "../"+settingsFile).output(ctx, 1<<16); err != nil {
			return err
		}
		return s.attributes(temp)
	}()
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(temp))
	}
	return temp, nil
}

// give hands a path to git's user.
func (s *Store) give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, int(s.o.UID), int(s.o.GID))
}

// attributes keeps .gitattributes of a commit from changing what git archive gives for it. The folder was
// made a moment ago, so nobody can have put a link into it.
func (s *Store) attributes(dir string) error {
	info := filepath.Join(dir, "info")
	if err := os.Mkdir(info, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file := filepath.Join(info, "attributes")
	if err := os.WriteFile(file, []byte("* -export-ignore -export-subst\n"), 0o644); err != nil {
		return err
	}
	return errors.Join(s.give(info), s.give(file))
}

// renameNew renames a folder to a place that must be free. (A rename onto a folder with files in it fails.)
func renameNew(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		return ErrExists
	}
	return err
}

// Open finds the repository of an application, or ErrNotFound.
func (s *Store) Open(_ context.Context, app lain.AppName) (*Repository, error) {
	if _, err := lain.ParseAppName(string(app)); err != nil {
		return nil, ErrNotFound
	}
	info, err := os.Lstat(s.path(app))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("repository of %s: %w", app, err)
	}
	return &Repository{store: s, app: app, path: s.path(app)}, nil
}

// Remove removes a repository; none is no error. What still runs in it fails.
func (s *Store) Remove(_ context.Context, app lain.AppName) error {
	if _, err := lain.ParseAppName(string(app)); err != nil {
		return err
	}
	gone, err := os.MkdirTemp(s.o.Root, tempPrefix)
	if err != nil {
		return fmt.Errorf("remove the repository of %s: %w", app, err)
	}
	err = failpoint.Around("git.remove", func() error {
		return os.Rename(s.path(app), filepath.Join(gone, "gone"))
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(gone))
}

// List names the applications that have a repository, sorted.
func (s *Store) List(context.Context) ([]lain.AppName, error) {
	entries, err := os.ReadDir(s.o.Root)
	if err != nil {
		return nil, fmt.Errorf("folder of the repositories: %w", err)
	}
	var apps []lain.AppName
	for _, e := range entries {
		name, isRepo := strings.CutSuffix(e.Name(), ".git")
		if app, err := lain.ParseAppName(name); isRepo && e.IsDir() && err == nil {
			apps = append(apps, app)
		}
	}
	slices.Sort(apps)
	return apps, nil
}

// settingsFile is included by the config of every repository.
const settingsFile = "lain.gitconfig"

// settings is the text of that file. One pack per push (unpackLimit) is as fast as loose objects for a
// small push and three times as fast for a big one; Maintain folds the packs. Refs are synced to disk,
// which is not git's default.
func settings(o Options) string {
	return `# Written by Lain at its start. Changes are lost.
[core]
	hooksPath = ` + quoteConfig(o.HookDir) + `
	logAllRefUpdates = true
	fsync = committed,reference
	protectNTFS = true
	protectHFS = true
[transfer]
	fsckObjects = true
	hideRefs = refs/lain
[receive]
	fsckObjects = true
	maxInputSize = ` + strconv.FormatInt(o.MaxInputBytes, 10) + `
	unpackLimit = 1
	procReceiveRefs = refs
	advertisePushOptions = true
	keepAlive = 5
	shallowUpdate = false
	autogc = false
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = false
	keepAlive = 5
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	objectNameWarning = false
`
}

func quoteConfig(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
