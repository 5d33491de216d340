package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

func TestScaleAsksForWhatWasSaid(t *testing.T) {
	three, one := 3, 1
	for words, want := range map[string]map[lain.ProcName]lain.Size{
		"scale hello web=3":                    {"web": {Instances: &three}},
		"scale hello web=yaml":                 {"web": {}},
		"scale hello web --memory 64m --cpu 1": {"web": {MemoryBytes: 64 << 20, CPULevel: &one}},
		"scale hello web=3 worker --memory 1g": {"web": {Instances: &three, MemoryBytes: 1 << 30}, "worker": {MemoryBytes: 1 << 30}},
		"scale hello web=3 worker=yaml":        {"web": {Instances: &three}, "worker": {}},
	} {
		r := newRig(t)
		if code, out, errs := r.do(strings.Fields(words)...); code != 0 {
			t.Fatalf("%s: exit %d\n%s%s", words, code, out, errs)
		}
		if got := r.far.asked[0]; got.Why != lain.WhyScale || !reflect.DeepEqual(got.Sizes, want) {
			t.Errorf("%s: asked for %+v", words, got)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	r := newRig(t)
	for _, words := range []string{"rollback hello v1 --dry-run", "redeploy hello --dry-run", "restart hello --dry-run", "scale hello web=3 --dry-run"} {
		if code, _, errs := r.do(strings.Fields(words)...); code != 0 {
			t.Errorf("%s: exit %d: %s", words, code, errs)
		}
	}
	if len(r.far.asked) != 0 {
		t.Errorf("a dry run asked for %+v", r.far.asked)
	}
}

func TestRollbackGoesToTheLastOtherCommit(t *testing.T) {
	r := newRig(t)
	releases := state.Of[lain.Release](r.api.Store, lain.ReleasesPrefix)
	add := func(n int, commit lain.Commit, s lain.ReleaseStatus, ban *lain.Ban) {
		put(t, releases, lain.NumberKey("hello", n), lain.Release{App: "hello", Number: n, Commit: commit, Status: s, Ban: ban})
	}
	add(1, "a", lain.ReleaseReplaced, nil)
	add(2, "b", lain.ReleaseReplaced, &lain.Ban{Reason: "leaks"})
	add(3, "c", lain.ReleaseFailed, nil)
	add(4, "d", lain.ReleaseReplaced, nil) // scaled to v5
	add(5, "d", lain.ReleaseServing, nil)
	put(t, state.Of[lain.App](r.api.Store, lain.AppsPrefix), "hello", lain.App{Name: "hello", Serving: 5, LastRelease: 5})
	if code, _, errs := r.do("rollback", "hello"); code != 0 {
		t.Fatal(errs)
	}
	if got := r.far.asked[0]; got.From != 1 {
		t.Errorf("rolls back to v%d, want v1", got.From)
	}
}

func TestDiff(t *testing.T) {
	r := newRig(t)
	root, err := os.MkdirTemp("", "lain-api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o711); err != nil {
		t.Fatal(err)
	}
	if r.far.repos, err = repo.NewStore(t.Context(), repo.Options{Root: filepath.Join(root, "repos"), UID: 64646, GID: 64646, HookDir: "/nonexistent"}); err != nil {
		t.Fatal(err)
	}
	bare, err := r.far.repos.Create(t.Context(), "hello", "sha1")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"}, args...)...)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	var ids []lain.Commit
	for _, text := range []string{"port: 80\n", "port: 81\n"} {
		if err := os.WriteFile(filepath.Join(work, "lain.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", "-A")
		git("commit", "-q", "-m", "change to "+strings.TrimSpace(text))
		ids = append(ids, lain.Commit(git("rev-parse", "HEAD")))
	}
	git("--git-dir", bare.Path(), "fetch", "-q", work, "HEAD")
	if out, err := exec.Command("chown", "-R", "64646:64646", bare.Path()).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	releases := state.Of[lain.Release](r.api.Store, lain.ReleasesPrefix)
	for i, id := range ids {
		put(t, releases, lain.NumberKey("hello", i+1), lain.Release{App: "hello", Number: i + 1, Commit: id, Status: lain.ReleaseReplaced})
	}
	code, out, errs := r.do("diff", "hello", "v1", "v2")
	for _, want := range []string{"v1 -> v2", "commit: ", "change to port: 81", "-port: 80", "+port: 81"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in:\n%s%s", code, want, out, errs)
		}
	}
	if _, out, _ := r.do("diff", "hello", "v2", "v1", "--json"); !json.Valid([]byte(out)) || !strings.Contains(out, `"added": []`) {
		t.Errorf("backwards: %s", out)
	}
}
