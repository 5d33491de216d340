package repo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// Repository is the bare repository of one application. It is safe for concurrent use, and holds nothing
// open. Methods return ErrNotFound for a revision that is not there.
type Repository struct {
	store *Store
	app   lain.AppName
	path  string
}

// App is whose repository it is.
func (r *Repository) App() lain.AppName { return r.app }

// Path is the folder.
func (r *Repository) Path() string { return r.path }

func (r *Repository) git(args ...string) *command { return r.store.git(r.path, args...) }

// maxText bounds what is read of a program that answers in lines.
const maxText = 16 << 20

// ObjectFormat is SHA1 or SHA256.
func (r *Repository) ObjectFormat(ctx context.Context) (string, error) {
	out, err := r.git("rev-parse", "--show-object-format").output(ctx, 1<<10)
	return strings.TrimSpace(string(out)), err
}

// Empty reports whether there are no refs at all, as in a repository just made. It looks at the files and
// runs no git.
func (r *Repository) Empty() bool {
	if _, err := os.Lstat(filepath.Join(r.path, "packed-refs")); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	found := errors.New("a ref")
	return filepath.WalkDir(filepath.Join(r.path, "refs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			return found
		}
		return err
	}) == nil
}

// Ref is a name and what it names: a commit, or a tag object.
type Ref struct {
	Name string
	ID   lain.Commit
	Type string // commit, tag, tree or blob
}

// Refs lists the refs below a prefix of whole path parts ("refs/heads"), hidden ones too, sorted by name.
func (r *Repository) Refs(ctx context.Context, prefix string) ([]Ref, error) {
	if err := checkRev(prefix); err != nil {
		return nil, err
	}
	out, err := r.git("for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", "--", prefix).output(ctx, maxText)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for line := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("git for-each-ref wrote %q", line)
		}
		refs = append(refs, Ref{Name: f[2], ID: lain.Commit(f[0]), Type: f[1]})
	}
	return refs, nil
}

// UpdateRef sets ref to the commit new if it is old now; a zero old means that there must be no such ref.
// ErrMoved when it is something else. New must be a commit that is there; below refs/tags a tag object is
// taken as well.
func (r *Repository) UpdateRef(ctx context.Context, ref string, new, old lain.Commit) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	info, err := r.Commit(ctx, string(new))
	if err != nil {
		return fmt.Errorf("set %s: %w", ref, err)
	}
	tag := info.Type == "tag" && strings.HasPrefix(ref, "refs/tags/")
	if info.Type != "commit" && !tag || info.Object != new {
		return fmt.Errorf("set %s: %s is a %s, not a commit", ref, new, info.Type)
	}
	zero := lain.Commit(strings.Repeat("0", len(new)))
	if old.IsZero() {
		old = zero
	}
	return r.changeRef(ctx, "git.updateref", ref, old, "--no-deref", "--create-reflog", "--", ref, string(new), string(old))
}

// DeleteRef removes ref if it is old now. ErrMoved when it is something else.
func (r *Repository) DeleteRef(ctx context.Context, ref string, old lain.Commit) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	if old.IsZero() {
		return fmt.Errorf("delete %s: its value is needed", ref)
	}
	return r.changeRef(ctx, "git.deleteref", ref, old, "--no-deref", "-d", "--", ref, string(old))
}

func (r *Repository) changeRef(ctx context.Context, point, ref string, old lain.Commit, args ...string) error {
	update := func() error {
		_, err := r.git(append([]string{"update-ref"}, args...)...).output(ctx, 1<<16)
		return err
	}
	err := failpoint.Around(point, update)
	if err != nil && ctx.Err() == nil && r.dropStaleLocks(ref) {
		err = failpoint.Around(point, update)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if now, lookErr := r.resolve(ctx, ref); lookErr == nil && now != old && !(now.IsZero() && old.IsZero()) {
		return fmt.Errorf("%w: %s is at %s, not at %s", ErrMoved, ref, orNone(now), orNone(old))
	}
	return err
}

func orNone(c lain.Commit) string {
	if c.IsZero() {
		return "nothing"
	}
	return c.Short()
}

// resolve is what ref names, or zero.
func (r *Repository) resolve(ctx context.Context, ref string) (lain.Commit, error) {
	out, err := r.git("show-ref", "--verify", "--hash", "--", ref).output(ctx, 1<<10)
	if exitCode(err) > 0 {
		return "", nil
	}
	return lain.Commit(strings.TrimSpace(string(out))), err
}

// SetHead makes branch ("refs/heads/main") what a clone checks out.
func (r *Repository) SetHead(ctx context.Context, branch string) error {
	if err := checkRef(branch); err != nil {
		return err
	}
	return failpoint.Around("git.sethead", func() error {
		_, err := r.git("symbolic-ref", "--", "HEAD", branch).output(ctx, 1<<16)
		return err
	})
}

// CommitInfo describes an object. For a tag, Type is "tag", Object is the tag itself and the rest
// describes the commit it leads to; when it leads to none, as for a tree or a blob, only Object and Type
// are set.
type CommitInfo struct {
	Object        lain.Commit // what the revision names
	Type          string      // of Object: commit, tag, tree or blob
	ID            lain.Commit // the commit
	Tree          string
	CommitterTime time.Time
	Author        string // Name <mail>
	Subject       string
}

// Commit describes what rev names.
func (r *Repository) Commit(ctx context.Context, rev string) (CommitInfo, error) {
	info, err := r.object(ctx, rev)
	if err != nil || info.Type != "commit" && info.Type != "tag" {
		return info, err
	}
	peeled, err := r.object(ctx, string(info.Object)+"^{commit}")
	if errors.Is(err, ErrNotFound) {
		return info, nil
	}
	if err != nil {
		return info, err
	}
	list, err := r.log(ctx, 1, string(peeled.Object))
	if err != nil || len(list) != 1 {
		return info, errors.Join(err, fmt.Errorf("read commit %s", peeled.Object))
	}
	list[0].Object, list[0].Type = info.Object, info.Type
	return list[0], nil
}

// object finds the id and the type of a revision.
func (r *Repository) object(ctx context.Context, rev string) (CommitInfo, error) {
	if err := checkRev(rev); err != nil {
		return CommitInfo{}, err
	}
	out, err := r.git("cat-file", "--batch-check=%(objectname) %(objecttype)").input(rev+"\n").output(ctx, 1<<16)
	if err != nil {
		return CommitInfo{}, err
	}
	id, kind, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), " ")
	object, err := lain.ParseCommit(id)
	if err != nil || kind != "commit" && kind != "tag" && kind != "tree" && kind != "blob" {
		return CommitInfo{}, fmt.Errorf("revision %q: %w", rev, ErrNotFound)
	}
	return CommitInfo{Object: object, Type: kind}, nil
}

// Log lists the commits that to has and from lacks, newest first, at most n. An empty from means all.
func (r *Repository) Log(ctx context.Context, from, to lain.Commit, n int) ([]CommitInfo, error) {
	if from.IsZero() {
		return r.log(ctx, n, string(to))
	}
	return r.log(ctx, n, string(to), "^"+string(from))
}

func (r *Repository) log(ctx context.Context, n int, revs ...string) ([]CommitInfo, error) {
	for _, rev := range revs {
		if _, err := lain.ParseCommit(strings.TrimPrefix(rev, "^")); err != nil {
			return nil, err
		}
	}
	args := append([]string{"rev-list", "--no-commit-header", "--max-count=" + strconv.Itoa(n),
		"--format=%H%x00%T%x00%ct%x00%an <%ae>%x00%s", "--encoding=UTF-8", "--end-of-options"}, revs...)
	out, err := r.git(args...).output(ctx, maxText)
	if err != nil {
		return nil, err
	}
	var list []CommitInfo
	for line := range strings.Lines(string(out)) {
		info, err := parseLog(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

func parseLog(line string) (CommitInfo, error) {
	f := strings.SplitN(line, "\x00", 5)
	if len(f) != 5 {
		return CommitInfo{}, fmt.Errorf("git rev-list wrote %q", line)
	}
	id, err := lain.ParseCommit(f[0])
	if err != nil {
		return CommitInfo{}, err
	}
	seconds, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return CommitInfo{}, fmt.Errorf("committer time of %s: %w", id, err)
	}
	return CommitInfo{Object: id, Type: "commit", ID: id, Tree: f[1],
		CommitterTime: time.Unix(seconds, 0).UTC(), Author: clean(f[3]), Subject: clean(f[4])}, nil
}

// Contains reports whether ancestor is commit or one of its ancestors.
func (r *Repository) Contains(ctx context.Context, commit, ancestor lain.Commit) (bool, error) {
	for _, c := range []lain.Commit{commit, ancestor} {
		if _, err := lain.ParseCommit(string(c)); err != nil {
			return false, err
		}
	}
	_, err := r.git("merge-base", "--is-ancestor", string(ancestor), string(commit)).output(ctx, 1<<16)
	if exitCode(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// ReadFile reads a regular file of a commit's tree, at most max bytes of it: a larger one is an error, and
// ErrNotFound means that there is no regular file of that path.
func (r *Repository) ReadFile(ctx context.Context, commit lain.Commit, path string, max int64) ([]byte, error) {
	if _, err := lain.ParseCommit(string(commit)); err != nil {
		return nil, err
	}
	out, err := r.git("ls-tree", "-z", "-l", "--full-tree", string(commit), "--", path).output(ctx, 1<<20)
	if err != nil {
		return nil, err
	}
	entry, err := readEntry(bufio.NewReaderSize(strings.NewReader(string(out)), maxEntry))
	if err == io.EOF || err == nil && (entry.Path != path || !entry.Regular()) {
		return nil, fmt.Errorf("%s in %s: %w", path, commit.Short(), ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	if entry.Size > max {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, entry.Size, max)
	}
	return r.git("cat-file", "blob", entry.ID).output(ctx, int(max))
}

// Diff is the unified diff of one file between two commits, at most a megabyte of it; "" where nothing differs.
func (r *Repository) Diff(ctx context.Context, a, b lain.Commit, path string) (string, error) {
	for _, c := range []lain.Commit{a, b} {
		if _, err := lain.ParseCommit(string(c)); err != nil {
			return "", err
		}
	}
	out, err := r.git("diff-tree", "-p", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames",
		string(a), string(b), "--", path).output(ctx, 1<<20)
	return string(out), err
}

// Archive gives a commit's tree as tar, whatever its .gitattributes say of export. The reader's last error
// is git's failure, if it failed. The caller closes it.
func (r *Repository) Archive(ctx context.Context, commit lain.Commit) (io.ReadCloser, error) {
	if _, err := lain.ParseCommit(string(commit)); err != nil {
		return nil, err
	}
	return r.git("archive", "--format=tar", string(commit)).stream(ctx)
}
