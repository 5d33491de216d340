package api

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestWhichReleaseIsTheFormer(t *testing.T) {
	replaced := func(n int, commit lain.Commit) lain.Release {
		return lain.Release{Number: n, Commit: commit, Status: lain.ReleaseReplaced}
	}
	with := func(r lain.Release, f func(*lain.Release)) lain.Release { f(&r); return r }
	banned := func(r *lain.Release) { r.Ban = &lain.Ban{Reason: "leaks"} }
	failed := func(r *lain.Release) { r.Status = lain.ReleaseFailed }
	serving := func(r *lain.Release) { r.Status = lain.ReleaseServing }
	to := func(root int) func(*lain.Release) {
		return func(r *lain.Release) { r.Why, r.From = lain.WhyReturn, root }
	}
	rollback := func(r *lain.Release) { r.Why, r.From = lain.WhyRollback, 1 }
	for _, c := range []struct {
		name    string
		serving int
		all     []lain.Release // the oldest first
		want    int
	}{
		{"the one before", 2, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), serving)}, 1},
		{"nothing before", 1, []lain.Release{with(replaced(1, "a"), serving)}, 0},
		{"nothing serves", 0, []lain.Release{with(replaced(1, "a"), failed)}, 0},
		{"another commit", 3, []lain.Release{replaced(1, "a"), replaced(2, "b"), with(replaced(3, "b"), serving)}, 1},
		{"not a failed or a banned one", 4, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), banned), with(replaced(3, "c"), failed), with(replaced(4, "d"), serving)}, 1},
		{"before the root of a return", 4, []lain.Release{replaced(1, "a"), replaced(2, "b"), with(replaced(3, "c"), failed), with(with(replaced(4, "b"), to(2)), serving)}, 1},
		{"before the root of a return of a return", 6, []lain.Release{replaced(1, "a"), replaced(2, "b"), with(replaced(3, "c"), failed), with(replaced(4, "b"), to(2)),
			with(replaced(5, "c"), failed), with(with(replaced(6, "b"), to(2)), serving)}, 1},
		{"nothing that lies between a root and its return", 4, []lain.Release{replaced(1, "a"), replaced(2, "b"), replaced(3, "c"), with(with(replaced(4, "b"), to(2)), serving)}, 1},
		{"nothing before the root", 3, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), failed), with(with(replaced(3, "a"), to(1)), serving)}, 0},
		{"what serves is banned", 4, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), banned), with(replaced(3, "c"), failed), with(with(replaced(4, "b"), to(2)), serving)}, 1},
		{"the root of a return, not the return", 4, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), failed), with(replaced(3, "a"), to(1)), with(replaced(4, "c"), serving)}, 1},
		{"a return to a banned one", 5, []lain.Release{replaced(1, "a"), with(replaced(2, "b"), banned), with(replaced(3, "c"), failed), with(replaced(4, "b"), to(2)), with(replaced(5, "d"), serving)}, 1},
		{"a rollback is its own root", 4, []lain.Release{replaced(1, "a"), replaced(2, "b"), with(replaced(3, "a"), rollback), with(replaced(4, "c"), serving)}, 3},
	} {
		slices.Reverse(c.all)
		if got := former(c.all, c.serving); got != c.want {
			t.Errorf("%s: v%d, want v%d", c.name, got, c.want)
		}
	}
}

// A return is shown as what it is, and a ban of it as one of its root.
func TestAReturnIsToldOf(t *testing.T) {
	r := newRig(t)
	releases := state.Of[lain.Release](r.api.Store, lain.ReleasesPrefix)
	at := time.Now().Add(-time.Minute)
	for _, one := range []lain.Release{
		{Number: 1, Why: lain.WhyPush, Commit: "1111111", Status: lain.ReleaseReplaced, Run: 1, Ban: &lain.Ban{Reason: "leaks", By: "bob"}},
		{Number: 2, Why: lain.WhyPush, Commit: "2222222", Status: lain.ReleaseFailed, Run: 2, Reason: "web is not healthy"},
		{Number: 3, Why: lain.WhyReturn, From: 1, Commit: "1111111", Status: lain.ReleaseServing, Run: 2},
	} {
		one.App, one.By, one.Created = "hello", "alice", at
		put(t, releases, lain.NumberKey("hello", one.Number), one)
	}
	put(t, state.Of[lain.App](r.api.Store, lain.AppsPrefix), "hello", lain.App{Name: "hello", Serving: 3, LastRelease: 3})
	r.far.root = 1
	for words, want := range map[string]string{
		"releases hello": "RELEASE  STATUS    COMMIT   WHEN  BY     RUN  WHY           REASON\n" +
			"v3       serving   1111111  1m    alice  r-2  return to v1  -\n" +
			"v2       failed    2222222  1m    alice  r-2  push          web is not healthy\n" +
			"v1       replaced  1111111  1m    alice  r-1  push          banned by bob: leaks\n",
		"info hello":                "serves:  v3 (return to v1)\n",
		"ban hello v3 -m leaks":     "v1 of hello is banned, and v3 with it, which returned to it: no rollback goes there.\n",
		"ban hello v1 -m leaks":     "v1 of hello is banned: no rollback goes there.\n",
		"unban hello v3":            "v1 of hello may be released again, and v3 with it, which returned to it.\n",
		"unban hello v3 --json":     `"unbanned": 1`,
		"releases hello --json -n1": `"why": "return"`,
	} {
		code, out, errs := r.do(strings.Fields(words)...)
		if plain := strings.Join(strings.Fields(out), " "); code != 0 || !strings.Contains(out, want) && !strings.Contains(plain, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%s: exit %d\n%s%s", words, code, out, errs)
		}
	}
	if code, _, errs := r.do("rollback", "hello"); code == 0 || !strings.Contains(errs, "no other commit of hello has served before") {
		t.Errorf("rollback: exit %d\n%s", code, errs)
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
