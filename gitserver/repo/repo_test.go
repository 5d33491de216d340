package repo

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

// gitUID is nobody's: git needs no entry in the list of users.
const gitUID = 64646

func newStore(t *testing.T) *Store {
	t.Helper()
	root := openDir(t)
	s, err := NewStore(t.Context(), Options{Root: filepath.Join(root, "repos"), UID: gitUID, GID: gitUID,
		HookDir: filepath.Join(root, "hooks"), MaxInputBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openDir is a temporary folder that other users can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fill puts a commit into the repository, written with git's own plumbing as git's user.
func fill(t *testing.T, r *Repository, parent lain.Commit, files map[string]string) lain.Commit {
	t.Helper()
	var tree strings.Builder
	for path, content := range files {
		mode := "100644"
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			mode, content = "120000", target
		}
		fmt.Fprintf(&tree, "%s blob %s\t%s\x00", mode, plumb(t, r, content, "hash-object", "-w", "--stdin"), path)
	}
	args := []string{"commit-tree", "-m", "one\x1b[31m line", plumb(t, r, tree.String(), "mktree", "-z")}
	if parent != "" {
		args = append(args, "-p", string(parent))
	}
	return lain.Commit(plumb(t, r, "", args...))
}

func plumb(t *testing.T, r *Repository, input string, args ...string) string {
	t.Helper()
	c := r.git(args...).input(input)
	c.cmd.Env = append(c.cmd.Env, "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_DATE=1700000000 +0100")
	out, err := c.output(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func create(t *testing.T, s *Store, app lain.AppName) *Repository {
	t.Helper()
	r, err := s.Create(t.Context(), app, SHA1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRepositoriesComeAndGo(t *testing.T) {
	s := newStore(t)
	if _, err := s.Open(t.Context(), "hello"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("open before create: %v", err)
	}
	r := create(t, s, "hello")
	if _, err := s.Create(t.Context(), "hello", SHA1); !errors.Is(err, ErrExists) {
		t.Fatalf("create twice: %v", err)
	}
	if _, err := s.Create(t.Context(), "long", SHA256); err != nil {
		t.Fatal(err)
	}
	if f, err := r.ObjectFormat(t.Context()); f != SHA1 || err != nil {
		t.Fatal(f, err)
	}
	for _, name := range []lain.AppName{"", "..", "../x", "a/b", "-x", "lain"} {
		if _, err := s.Create(t.Context(), name, SHA1); err == nil {
			t.Errorf("created %q", name)
		}
		if _, err := s.Open(t.Context(), name); !errors.Is(err, ErrNotFound) {
			t.Errorf("opened %q: %v", name, err)
		}
	}
	if apps, err := s.List(t.Context()); err != nil || !slices.Equal(apps, []lain.AppName{"hello", "long"}) {
		t.Fatal(apps, err)
	}
	for range 2 {
		if err := s.Remove(t.Context(), "hello"); err != nil {
			t.Fatal(err)
		}
	}
	entries, _ := os.ReadDir(s.o.Root)
	if len(entries) != 2 { // long.git and the settings
		t.Fatalf("left over: %v", entries)
	}
}

func TestGitRunsAsItsOwnUserInACleanEnvironment(t *testing.T) {
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("SECRET", "x")
	s := newStore(t)
	r := create(t, s, "hello")
	info, err := os.Stat(filepath.Join(r.Path(), "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; os.Geteuid() == 0 && uid != gitUID {
		t.Fatalf("HEAD belongs to %d", uid)
	}
	for key, want := range map[string]string{"receive.procReceiveRefs": "refs", "receive.fsckObjects": "true",
		"receive.unpackLimit": "1", "receive.maxInputSize": "67108864", "core.hooksPath": s.o.HookDir, "transfer.hideRefs": "refs/lain"} {
		if got := plumb(t, r, "", "config", key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if slices.ContainsFunc(environment(s.o), func(v string) bool { return strings.HasPrefix(v, "SECRET") }) {
		t.Error("the environment is inherited")
	}
}

func TestLeftoversAreSweptAtStart(t *testing.T) {
	s := newStore(t)
	if err := os.MkdirAll(filepath.Join(s.o.Root, tempPrefix+"1", "objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewStore(t.Context(), s.o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.o.Root, tempPrefix+"1")); !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func TestRefsMoveOnlyFromTheExpectedValue(t *testing.T) {
	r := create(t, newStore(t), "hello")
	ctx := t.Context()
	one := fill(t, r, "", map[string]string{"a": "1"})
	two := fill(t, r, one, map[string]string{"a": "2"})
	tag := lain.Commit(plumb(t, r, fmt.Sprintf("object %s\ntype commit\ntag v1\ntagger a <a@b> 1 +0000\n\nm\n", one), "mktag"))
	const main = "refs/heads/main"
	if !r.Empty() {
		t.Error("a new repository has refs")
	}
	defer func() {
		if r.Empty() {
			t.Error("a repository with a ref is empty")
		}
	}()
	for _, step := range []struct {
		ref      string
		new, old lain.Commit
		want     error
		ok       bool
	}{
		{main, one, two, ErrMoved, false},
		{main, one, "", nil, true},
		{main, one, "", ErrMoved, false},
		{main, two, one, nil, true},
		{main, one, one, ErrMoved, false},
		{main, tag, two, nil, false},
		{main, lain.Commit(strings.Repeat("1", 40)), two, ErrNotFound, false},
		{"refs/heads/../x", two, "", nil, false},
		{"HEAD", two, "", nil, false},
		{"--stdin", two, "", nil, false},
		{"refs/lain/runs/r-1", two, "", nil, true},
	} {
		err := r.UpdateRef(ctx, step.ref, step.new, step.old)
		if (err == nil) != step.ok || step.want != nil && !errors.Is(err, step.want) {
			t.Errorf("%s to %s from %s: %v", step.ref, step.new.Short(), step.old.Short(), err)
		}
	}
	refs, err := r.Refs(ctx, "refs")
	if err != nil || len(refs) != 2 || refs[0] != (Ref{main, two, "commit"}) {
		t.Fatal(refs, err)
	}
	if err := r.DeleteRef(ctx, main, one); !errors.Is(err, ErrMoved) {
		t.Fatal(err)
	}
	if err := r.DeleteRef(ctx, main, two); err != nil {
		t.Fatal(err)
	}
	if err := r.SetHead(ctx, "refs/heads/master"); err != nil {
		t.Fatal(err)
	}
	if got := plumb(t, r, "", "symbolic-ref", "HEAD"); got != "refs/heads/master" {
		t.Fatal(got)
	}
}

func TestALockOfADeadGitDoesNotStay(t *testing.T) {
	r := create(t, newStore(t), "hello")
	one := fill(t, r, "", map[string]string{"a": "1"})
	lock := filepath.Join(r.Path(), "refs/heads/main.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.UpdateRef(t.Context(), "refs/heads/main", one, ""); err == nil {
		t.Fatal("a young lock was ignored")
	}
	old := time.Now().Add(-2 * staleLock)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	if err := r.UpdateRef(t.Context(), "refs/heads/main", one, ""); err != nil {
		t.Fatal(err)
	}
}

func TestCommitTellsTagsApart(t *testing.T) {
	r := create(t, newStore(t), "hello")
	one := fill(t, r, "", map[string]string{"a": "1"})
	tag := lain.Commit(plumb(t, r, fmt.Sprintf("object %s\ntype commit\ntag v1\ntagger a <a@b> 1 +0000\n\nm\n", one), "mktag"))
	info, err := r.Commit(t.Context(), string(one))
	if err != nil {
		t.Fatal(err)
	}
	want := CommitInfo{Object: one, Type: "commit", ID: one, Tree: info.Tree, CommitterTime: time.Unix(1700000000, 0).UTC(),
		Author: "Ann <ann@example.org>", Subject: "one[31m line"}
	if info != want || len(info.Tree) != 40 {
		t.Fatalf("%+v", info)
	}
	want.Object, want.Type = tag, "tag"
	if info, err := r.Commit(t.Context(), string(tag)); info != want || err != nil {
		t.Fatalf("%+v, %v", info, err)
	}
	if info, err := r.Commit(t.Context(), info.Tree); err != nil || info.Type != "tree" || info.ID != "" {
		t.Fatalf("%+v, %v", info, err)
	}
	for _, rev := range []string{"", "-x", "nothing", "a\nb", strings.Repeat("1", 40), strings.Repeat("x", 2000)} {
		if _, err := r.Commit(t.Context(), rev); err == nil {
			t.Errorf("%.20q is a commit", rev)
		}
	}
}

func TestHistory(t *testing.T) {
	r := create(t, newStore(t), "hello")
	one := fill(t, r, "", map[string]string{"a": "1"})
	two := fill(t, r, one, map[string]string{"a": "2"})
	other := fill(t, r, "", map[string]string{"b": "1"})
	for _, c := range []struct {
		commit, ancestor lain.Commit
		want             bool
	}{{two, one, true}, {one, two, false}, {one, one, true}, {other, one, false}} {
		if got, err := r.Contains(t.Context(), c.commit, c.ancestor); got != c.want || err != nil {
			t.Errorf("%s contains %s: %v, %v", c.commit, c.ancestor, got, err)
		}
	}
	if list, err := r.Log(t.Context(), one, two, 10); err != nil || len(list) != 1 || list[0].ID != two {
		t.Fatal(list, err)
	}
	if list, err := r.Log(t.Context(), "", two, 10); err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
}

func TestReadFileReadsRegularFilesOnly(t *testing.T) {
	r := create(t, newStore(t), "hello")
	c := fill(t, r, "", map[string]string{"lain.yaml": "appname: hello\n", "link": "-> /etc/passwd", "*": "star", "empty": ""})
	for path, want := range map[string]string{"lain.yaml": "appname: hello\n", "*": "star", "empty": ""} {
		if got, err := r.ReadFile(t.Context(), c, path, 100); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"link", "lain", "LAIN.YAML", "../x", "", ".", ":/", "?", "--help"} {
		if got, err := r.ReadFile(t.Context(), c, path, 100); err == nil {
			t.Errorf("%q gave %q", path, got)
		}
	}
	if _, err := r.ReadFile(t.Context(), c, "lain.yaml", 5); err == nil || errors.Is(err, ErrNotFound) {
		t.Error("a file that is too large was read", err)
	}
}

func TestArchiveAndEntriesHaveEverything(t *testing.T) {
	r := create(t, newStore(t), "hello")
	c := fill(t, r, "", map[string]string{".gitattributes": "hidden export-ignore\nsubst export-subst\n",
		"hidden": "x", "subst": "$Format:%H$", "link": "-> /etc/passwd", "a\nb\tc": "odd"})
	archive, err := r.Archive(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	tr := tar.NewReader(archive)
	for h, err := tr.Next(); err != io.EOF; h, err = tr.Next() {
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(tr)
		got[h.Name] = string(data)
	}
	if _, err := io.Copy(io.Discard, archive); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if got["hidden"] != "x" || got["subst"] != "$Format:%H$" {
		t.Fatalf("%q", got)
	}
	var paths []string
	err = r.Entries(t.Context(), c, func(e Entry) error {
		paths = append(paths, e.Path)
		if e.Link() != (e.Path == "link") || e.Regular() == e.Link() {
			t.Errorf("%+v", e)
		}
		return nil
	})
	if err != nil || !slices.Equal(paths, []string{".gitattributes", "a\nb\tc", "hidden", "link", "subst"}) {
		t.Fatal(paths, err)
	}
}

func TestAnArchiveThatFailsSaysSo(t *testing.T) {
	r := create(t, newStore(t), "hello")
	archive, err := r.Archive(t.Context(), lain.Commit(strings.Repeat("1", 40)))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if _, err := io.ReadAll(archive); err == nil || !strings.Contains(err.Error(), "not a tree object") {
		t.Fatal(err)
	}
}

func TestAnArchiveEndsWithItsContextOrClose(t *testing.T) {
	r := create(t, newStore(t), "hello")
	c := fill(t, r, "", map[string]string{"big": strings.Repeat("0123456789", 1<<20)})
	ctx, cancel := context.WithCancel(t.Context())
	archive, err := r.Archive(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(archive); err == nil {
		t.Fatal("an archive that was killed looks whole")
	}
	_ = archive.Close()
	archive, err = r.Archive(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = archive.Close() // hangs when git is not ended
}

func TestMaintainKeepsWhatIsReachableOrYoung(t *testing.T) {
	r := create(t, newStore(t), "hello")
	kept := fill(t, r, "", map[string]string{"a": "1"})
	young := fill(t, r, "", map[string]string{"a": "2"})
	old := fill(t, r, "", map[string]string{"a": "3"})
	if err := r.UpdateRef(t.Context(), "refs/heads/main", kept, ""); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-9 * 24 * time.Hour)
	left := filepath.Join(r.Path(), "objects", "tmp_objdir-incoming-x")
	if err := errors.Join(os.Mkdir(left, 0o755), os.Chtimes(left, past, past)); err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(r.Path(), "objects", string(old[:2]), string(old[2:]))
	if err := os.Chtimes(object, past, past); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for c, want := range map[lain.Commit]bool{kept: true, young: true, old: false} {
		if _, err := r.Commit(t.Context(), string(c)); (err == nil) != want {
			t.Errorf("%s: %v, want it kept: %v", c, err, want)
		}
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("what a killed push left is still there", err)
	}
}

func TestACommandEndsWithItsContext(t *testing.T) {
	r := create(t, newStore(t), "hello")
	ctx, cancel := context.WithCancel(t.Context())
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := r.git("cat-file", "--batch")
	c.cmd.Stdin = pipe
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.output(ctx, 10); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := syscall.Kill(c.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatal("it still runs", err)
	}
}

func TestNewStoreRefusesAFolderGitCannotReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("needs root to switch the user")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := NewStore(t.Context(), Options{Root: filepath.Join(dir, "r"), HookDir: dir, UID: gitUID, GID: gitUID})
	if err == nil || !strings.Contains(err.Error(), "0711") {
		t.Fatal(err)
	}
	_, err = NewStore(t.Context(), Options{Root: dir, HookDir: dir})
	if err == nil {
		t.Fatal("git may run as root")
	}
}

func FuzzEntries(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte("100644 blob " + id + "       5\tpath\x00"))
	f.Add([]byte("160000 commit " + id + "       -\tsub\x00120000 blob " + id + "       9\ta\tb\nc\x00"))
	f.Add([]byte("100644 blob " + id + " -5\tpath\x00"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := eachEntry(bytes.NewReader(data), func(e Entry) error {
			n++
			if e.Path == "" || strings.Contains(e.Path, "\x00") || e.Size < 0 || len(e.Mode) != 6 {
				t.Fatalf("%+v", e)
			}
			return nil
		})
		if err == nil && n != bytes.Count(data, []byte{0}) {
			t.Fatalf("%d entries of %q", n, data)
		}
	})
}

func FuzzCheckRef(f *testing.F) {
	for _, s := range []string{"refs/heads/main", "refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock", "refs/", "refs/heads/@{", "refs/a/-b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if checkRef(ref) != nil {
			return
		}
		if err := exec.Command("git", "check-ref-format", ref).Run(); err != nil {
			t.Fatalf("git does not take %q", ref)
		}
	})
}

// While objects must stay, packing waits, and touches nothing when it is told not to wait any longer.
func TestMaintain_waitsWhileObjectsMustStay(t *testing.T) {
	s, entered := newStore(t), 0
	busy := errors.New("a backup is being written")
	s.o.Removing = func(ctx context.Context) (context.Context, func(), error) {
		if entered++; entered == 1 {
			return ctx, nil, busy
		}
		return ctx, func() { entered = 10 }, nil
	}
	r, err := s.Create(t.Context(), "hello", SHA1)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Maintain(t.Context()); !errors.Is(err, busy) {
		t.Errorf("packed: %v", err)
	}
	if err := r.Maintain(t.Context()); err != nil || entered != 10 {
		t.Errorf("later: %v, entered %d", err, entered)
	}
}
