package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/builder"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

const goodManifest = "appname: hello\nbuild:\n  base: base:1\n  script: [make]\nweb:\n  cmd: run\n  port: 8080\n"

// world is a pipeline with a real store and real git; builder, engine and router are played by the test.
type world struct {
	t     *testing.T
	store *state.Store
	repos *repo.Store
	work  string // a clone in which commits are made
	bare  string
	build *builds
	p     *Pipeline
	logs  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: statetest.Open(t), work: t.TempDir(), build: &builds{}, logs: t.TempDir()}
	var err error
	w.repos, err = repo.NewStore(t.Context(), repo.Options{Root: filepath.Join(dirForGit(t), "repos"), UID: 64646, GID: 64646, HookDir: "/nonexistent"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.repos.Create(t.Context(), "hello", "sha1")
	if err != nil {
		t.Fatal(err)
	}
	w.bare = r.Path()
	w.git("init", "-q", "-b", "main")
	w.restart("first")
	return w
}

// dirForGit is a folder that another user may pass through.
func dirForGit(t *testing.T) string {
	dir, err := os.MkdirTemp("", "lain-pipeline")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// restart makes a new pipeline on the same records, as a new process would.
func (w *world) restart(id string) {
	w.p = New(Options{Store: w.store, Builder: w.build, Repos: w.repos, LogDir: w.logs, ID: id,
		Cluster: plan.Cluster{Domains: []string{"example.test"}, DefaultMemory: 256 << 20},
		URL:     func(r lain.Route) string { return r.URL("http", 80) },
		Logger:  slog.New(slog.NewTextHandler(w.t.Output(), nil))})
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		w.p.Drain(ctx)
	})
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.work
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit with this lain.yaml and brings its objects into the bare repository.
func (w *world) commit(manifest, content string) lain.Commit {
	w.t.Helper()
	for name, text := range map[string]string{"lain.yaml": manifest, "content": content} {
		if err := os.WriteFile(filepath.Join(w.work, name), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", content)
	id := w.git("rev-parse", "HEAD")
	cmd := exec.Command("git", "-c", "safe.directory=*", "--git-dir", w.bare, "fetch", "-q", w.work, "HEAD")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command("chown", "-R", "64646:64646", w.bare).CombinedOutput(); err != nil && os.Getuid() == 0 {
		w.t.Fatalf("%v\n%s", err, out)
	}
	return lain.Commit(id)
}

func (w *world) submit(c lain.Commit, change ...func(*lain.RunRequest)) lain.Run {
	w.t.Helper()
	run, err := w.trySubmit(c, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) trySubmit(c lain.Commit, change ...func(*lain.RunRequest)) (lain.Run, error) {
	req := lain.RunRequest{App: "hello", Commit: c, Ref: "refs/heads/main", By: "alice", Format: "sha1"}
	for _, f := range change {
		f(&req)
	}
	return w.p.Submit(w.t.Context(), req)
}

func (w *world) wait(run lain.Run) lain.Run {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	ended, err := w.p.Wait(ctx, run.App, run.Number)
	if err != nil {
		w.t.Fatal(err)
	}
	return ended
}

func (w *world) log(run lain.Run) string {
	w.t.Helper()
	var b strings.Builder
	err := w.p.Follow(w.t.Context(), run.App, run.Number, func(events []report.Event) error {
		for _, e := range events {
			b.WriteString(report.Draw(e))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func (w *world) branch() string {
	w.t.Helper()
	r, err := w.repos.Open(w.t.Context(), "hello")
	if err != nil {
		w.t.Fatal(err)
	}
	refs, err := r.Refs(w.t.Context(), "refs/heads")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ref := range refs {
		if ref.Name == "refs/heads/main" {
			return string(ref.ID)
		}
	}
	return ""
}

func (w *world) app() lain.App {
	w.t.Helper()
	item, err := state.Of[lain.App](w.store, lain.AppsPrefix).Get(w.t.Context(), "hello")
	if err != nil {
		w.t.Fatal(err)
	}
	return item.Value
}

// engine plays rollout and router: every wish is answered by judge, every write of routes is applied.
func (w *world) engine(judge func(lain.ProcWant) lain.ProcSeen) {
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	w.t.Cleanup(func() { cancel(); loops.Wait() })
	seen := state.Of[lain.ProcSeen](w.store, lain.SeenPrefix)
	loops.Go(func() {
		_ = state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).Follow(ctx, "", func(c state.Change[lain.ProcWant]) error {
			if c.Synced {
				return nil
			}
			if c.Deleted {
				_, err := seen.Delete(ctx, c.Key)
				return err
			}
			_, err := seen.Put(ctx, c.Key, judge(c.Value))
			return err
		})
	})
	loops.Go(func() {
		_ = state.Of[lain.AppRoutes](w.store, lain.RoutesPrefix).Follow(ctx, "", func(c state.Change[lain.AppRoutes]) error {
			_, err := state.Of[lain.RouterSeen](w.store, lain.NodesPrefix).Put(ctx, "here/router", lain.RouterSeen{Node: "here", Revision: c.Revision})
			return err
		})
	})
}

func serves(w lain.ProcWant) lain.ProcSeen {
	return lain.ProcSeen{App: w.App, Proc: w.Spec.Name, Release: w.Release, Attempt: w.Attempt, State: lain.SeenServing}
}

// sick fails the containers of every release but those named.
func sick(good ...int) func(lain.ProcWant) lain.ProcSeen {
	return func(w lain.ProcWant) lain.ProcSeen {
		for _, n := range good {
			if w.Started() == n {
				return serves(w)
			}
		}
		s := serves(w)
		code := 3
		s.State, s.Reason = lain.SeenFailed, "web exited with code 3"
		s.Failure = &lain.Failure{Proc: "web", Instance: 1, Sentence: s.Reason, ExitCode: &code, LogTail: []string{"no such table"}}
		return s
	}
}

// builds plays the builder. Each stage runs the hook of its name, if there is one.
type builds struct {
	mu    sync.Mutex
	hooks map[string]func(context.Context) error
	ran   []string
	open  int // jobs
	have  map[string]bool

	asked    builder.Request // the last one
	reporter report.Reporter // its
}

func (b *builds) Open(_ context.Context, r builder.Request, to report.Reporter) (Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.reporter = r, to
	b.open++
	return &job{b: b, r: r}, nil
}

func (b *builds) Has(_ context.Context, ref lain.ImageRef) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.have[ref.Digest], nil
}

func (b *builds) Foreign(_ context.Context, name string) (lain.ImageRef, error) {
	return lain.ImageRef{Repository: name, Digest: "sha256:" + strings.Repeat("f", 64), Foreign: true}, nil
}

func (b *builds) on(stage string, f func(context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hooks == nil {
		b.hooks = map[string]func(context.Context) error{}
	}
	b.hooks[stage] = f
}

func (b *builds) stages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.ran...)
}

type job struct {
	b *builds
	r builder.Request
}

func (j *job) stage(ctx context.Context, name string) error {
	j.b.mu.Lock()
	hook := j.b.hooks[name]
	j.b.ran = append(j.b.ran, name)
	j.b.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

func (j *job) Key() string                                { return j.r.Tree }
func (j *job) Bases() []lain.BuildBase                    { return nil }
func (j *job) PrepareName() string                        { return "" }
func (j *job) NeedsPrepare(context.Context) (bool, error) { return true, nil }
func (j *job) Prepare(ctx context.Context) error          { return j.stage(ctx, "prepare") }
func (j *job) Build(ctx context.Context) error            { return j.stage(ctx, "build") }
func (j *job) Test(ctx context.Context) error             { return j.stage(ctx, "test") }
func (j *job) Release(ctx context.Context) error          { return j.stage(ctx, "release") }

func (j *job) Close() error {
	j.b.mu.Lock()
	defer j.b.mu.Unlock()
	j.b.open--
	return nil
}

func (j *job) BuildImage(ctx context.Context) (string, error) {
	return "sha256:of-" + j.r.Tree, j.stage(ctx, "buildimage")
}

func (j *job) Push(ctx context.Context) (lain.ImageRef, error) {
	ref := lain.ImageRef{Repository: string(j.r.App), Digest: "sha256:" + strings.Repeat("0", 24) + j.r.Tree}
	j.b.mu.Lock()
	if j.b.have == nil {
		j.b.have = map[string]bool{}
	}
	j.b.have[ref.Digest] = true
	j.b.mu.Unlock()
	return ref, j.stage(ctx, "push")
}

func TestAPushServes(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	c := w.commit(goodManifest, "one")
	run := w.wait(w.submit(c))
	if run.State != lain.RunDone || run.Release != 1 {
		t.Fatalf("run ended as %+v\n%s", run, w.log(run))
	}
	if w.branch() != string(c) {
		t.Errorf("main names %s, want %s", w.branch(), c)
	}
	if app := w.app(); app.Serving != 1 || app.DeployBranch != "main" {
		t.Errorf("the application is %+v", app)
	}
	for _, want := range []string{"http://hello.example.test/", "v1 serves"} {
		if !strings.Contains(w.log(run), want) {
			t.Errorf("the log lacks %q:\n%s", want, w.log(run))
		}
	}
	if strings.Contains(w.log(run), " ! ") {
		t.Errorf("the log has a warning:\n%s", w.log(run))
	}
	if owners, _, _ := state.Of[string](w.store, lain.OwnersPrefix).List(t.Context(), ""); len(owners) != 0 {
		t.Errorf("owners left: %v", owners)
	}
}

func TestTheSameTreeIsNotBuiltAgain(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	before := len(w.build.stages())
	run := w.wait(w.submit(w.commit(goodManifest, "one")))
	if run.State != lain.RunDone || len(w.build.stages()) != before {
		t.Errorf("%s: built %v\n%s", run.State, w.build.stages()[before:], w.log(run))
	}
}

func TestAFailedReleaseGoesBack(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1))
	good := w.commit(goodManifest, "one")
	w.wait(w.submit(good))
	run := w.wait(w.submit(w.commit(goodManifest, "two")))
	if run.State != lain.RunFailed || !strings.Contains(run.Reason, "web exited with code 3, v1 still serves") {
		t.Errorf("run ended as %s: %s", run.State, run.Reason)
	}
	if w.branch() != string(good) || w.app().Serving != 3 {
		t.Errorf("main names %s, v%d serves", w.branch(), w.app().Serving)
	}
	for _, want := range []string{"no such table", "exit code 3", "Returning to v1"} {
		if !strings.Contains(w.log(run), want) {
			t.Errorf("the log lacks %q:\n%s", want, w.log(run))
		}
	}
	if len(run.Failures) != 1 {
		t.Errorf("%d failures are kept", len(run.Failures))
	}
}

// A run whose release is taken back has not ended while a router still sends requests to that release.
func TestAReturnWaitsForTheRouters(t *testing.T) {
	w := newWorld(t)
	w.engine(func(want lain.ProcWant) lain.ProcSeen {
		e := lain.Endpoints{App: "hello", Proc: "web", Addresses: []string{fmt.Sprint("10.0.0.1:", want.Attempt)}}
		if _, err := state.Of[lain.Endpoints](w.store, lain.EndpointsPrefix).Put(t.Context(), "hello/web", e); err != nil {
			t.Error(err)
		}
		return sick(1)(want)
	})
	w.wait(w.submit(w.commit(goodManifest, "one")))
	run := w.submit(w.commit(goodManifest, "two"))
	for range w.store.Signal(t.Context(), lain.SeenPrefix) { // until the return is made true
		item, err := state.Of[lain.ProcSeen](w.store, lain.SeenPrefix).Get(t.Context(), "hello/web")
		if err == nil && item.Value.Attempt == plan.ReturnAttempt(run.Number) {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if s, err := w.p.Wait(ctx, "hello", run.Number); err == nil {
		t.Fatalf("the run ended as %s although no router has taken the endpoints", s.State)
	}
	if _, err := state.Of[lain.RouterSeen](w.store, lain.NodesPrefix).Put(t.Context(), "here/router", lain.RouterSeen{Node: "here", Revision: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	if s := w.wait(run); s.State != lain.RunFailed {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
}

func TestAFailedFirstReleaseLeavesNothingServing(t *testing.T) {
	w := newWorld(t)
	w.engine(sick())
	run := w.wait(w.submit(w.commit(goodManifest, "one")))
	if run.State != lain.RunFailed || !strings.Contains(run.Reason, "nothing serves yet") {
		t.Errorf("run ended as %s: %s", run.State, run.Reason)
	}
	if w.branch() != "" || w.app().LastRelease != 1 {
		t.Errorf("main names %q, v%d is the newest", w.branch(), w.app().LastRelease)
	}
	for _, prefix := range []string{lain.ProcsPrefix, lain.RoutesPrefix, lain.HostsPrefix} {
		if left, _, _ := state.Of[any](w.store, prefix).List(t.Context(), ""); len(left) != 0 {
			t.Errorf("%s left: %v", prefix, left)
		}
	}
}

func TestAFailingBuildChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.build.on("build", func(context.Context) error {
		return fault.New(fault.Failed, "build.script[0] failed with exit code 2")
	})
	run := w.wait(w.submit(w.commit(goodManifest, "one")))
	if run.State != lain.RunFailed || run.Release != 0 || w.branch() != "" {
		t.Errorf("run %+v, main %q", run, w.branch())
	}
}

func TestBadManifestIsRefusedBeforeARun(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ manifest, want string }{
		"wrong name":   {strings.Replace(goodManifest, "hello", "other", 1), "appname"},
		"no base":      {"appname: hello\nbuild:\n  script: [x]\nweb: {cmd: x}\n", "base"},
		"not yaml":     {"appname: [", "lain.yaml"},
		"nothing runs": {"appname: hello\nbuild: {base: x, script: []}\n", "no proc"},
	} {
		_, err := w.trySubmit(w.commit(c.manifest, name))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if apps, _, _ := state.Of[lain.App](w.store, lain.AppsPrefix).List(t.Context(), ""); len(apps) != 0 {
		t.Errorf("refused pushes made %v", apps)
	}
}

// blocked makes the build wait until release is called, and tells when it began.
func (w *world) blocked() (begun chan struct{}, release func()) {
	begun, open := make(chan struct{}, 10), make(chan struct{})
	w.build.on("build", func(ctx context.Context) error {
		begun <- struct{}{}
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return begun, sync.OnceFunc(func() { close(open) })
}

func TestCancelBeforeTheRollout(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	begun, _ := w.blocked()
	run := w.submit(w.commit(goodManifest, "one"))
	<-begun
	if err := w.p.Cancel(t.Context(), "hello", run.Number, "cancelled by alice"); err != nil {
		t.Fatal(err)
	}
	ended := w.wait(run)
	if ended.State != lain.RunCancelled || !strings.Contains(ended.Reason, "cancelled by alice") {
		t.Errorf("%s: %s", ended.State, ended.Reason)
	}
}

func TestANewerPushTakesThePlaceOfTheOneThatWaits(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	begun, release := w.blocked()
	first := w.submit(w.commit(goodManifest, "one"))
	<-begun
	second := w.submit(w.commit(goodManifest, "two"))
	last := w.commit(goodManifest, "three")
	third := w.submit(last)
	if s := w.wait(second); s.State != lain.RunSuperseded || !strings.Contains(s.Reason, "r-3 of alice") {
		t.Errorf("second: %s: %s", s.State, s.Reason)
	}
	release()
	if s := w.wait(first); s.State != lain.RunDone {
		t.Errorf("first: %s: %s", s.State, s.Reason)
	}
	if s := w.wait(third); s.State != lain.RunDone || w.branch() != string(last) {
		t.Errorf("third: %s: %s", s.State, s.Reason)
	}
}

func TestSupersedeStopsTheBuild(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	begun, release := w.blocked()
	first := w.submit(w.commit(goodManifest, "one"))
	<-begun
	second := w.submit(w.commit(goodManifest, "two"), func(r *lain.RunRequest) { r.Supersede = true })
	if s := w.wait(first); s.State != lain.RunSuperseded {
		t.Errorf("first: %s: %s", s.State, s.Reason)
	}
	release()
	if s := w.wait(second); s.State != lain.RunDone {
		t.Errorf("second: %s: %s", s.State, s.Reason)
	}
}

func TestAWaitingPushThatLacksWhatServesIsRefused(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	base := w.commit(goodManifest, "zero")
	w.wait(w.submit(base))
	begun, release := w.blocked()
	a := w.commit(goodManifest, "a")
	first := w.submit(a, func(r *lain.RunRequest) { r.Old = base })
	<-begun
	w.git("reset", "-q", "--hard", string(base))
	second := w.submit(w.commit(goodManifest, "b"), func(r *lain.RunRequest) { r.Old = base })
	release()
	w.wait(first)
	s := w.wait(second)
	if s.State != lain.RunFailed || !strings.Contains(s.Reason, "main moved to "+a.Short()+" while you waited") {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	forced := w.submit(w.commit(goodManifest, "c"), func(r *lain.RunRequest) { r.Old = a })
	if f := w.wait(forced); f.State != lain.RunDone || !f.Forced {
		t.Errorf("a force push of what was seen: %s: %s (forced %v)", f.State, f.Reason, f.Forced)
	}
}

func TestBuildOnlyLeavesTheBranch(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	run := w.wait(w.submit(w.commit(goodManifest, "one"), func(r *lain.RunRequest) { r.BuildOnly = true }))
	if run.State != lain.RunDone || w.branch() != "" || run.Release != 0 {
		t.Errorf("%+v, main %q", run, w.branch())
	}
}

// die stops the pipeline as SIGKILL would: nothing more is written by it.
func (w *world) die() {
	w.p.giveUp(errLost)
	w.p.runs.Wait()
}

func TestDrain(t *testing.T) {
	ended := func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}
	t.Run("a build that takes too long is interrupted, and its pusher told", func(t *testing.T) {
		w := newWorld(t)
		w.engine(serves)
		w.wait(w.submit(w.commit(goodManifest, "one")))
		begun, _ := w.blocked()
		run := w.submit(w.commit(goodManifest, "two"))
		<-begun
		w.p.Drain(ended(t))
		s := w.wait(run)
		if s.State != lain.RunInterrupted || !strings.Contains(s.Reason, "nothing was changed, v1 still serves") {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
	})
	t.Run("what was answered already goes on after the next start", func(t *testing.T) {
		w := newWorld(t)
		w.engine(serves)
		begun, release := w.blocked()
		builds := w.submit(w.commit(goodManifest, "one"), func(r *lain.RunRequest) { r.Detach = true })
		<-begun
		waits := w.submit(w.commit(goodManifest, "two"), func(r *lain.RunRequest) { r.Detach = true })
		w.p.Drain(ended(t))
		release()
		w.restart("second")
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, run := range []lain.Run{builds, waits} {
			if s := w.wait(run); s.State != lain.RunDone {
				t.Errorf("%s is %s: %s", s.ID(), s.State, s.Reason)
			}
		}
	})
}

func TestTakeover(t *testing.T) {
	t.Run("a build is interrupted", func(t *testing.T) {
		w := newWorld(t)
		w.engine(serves)
		begun, _ := w.blocked()
		run := w.submit(w.commit(goodManifest, "one"))
		<-begun
		w.die()
		w.restart("second")
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := w.wait(run); s.State != lain.RunInterrupted {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
	})
	t.Run("a detached build goes on", func(t *testing.T) {
		w := newWorld(t)
		w.engine(serves)
		begun, release := w.blocked()
		run := w.submit(w.commit(goodManifest, "one"), func(r *lain.RunRequest) { r.Detach = true })
		<-begun
		w.die()
		release()
		w.restart("second")
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := w.wait(run); s.State != lain.RunDone {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
	})
	t.Run("a rollout is taken back", func(t *testing.T) {
		w := newWorld(t)
		stuck := make(chan struct{}, 1)
		w.engine(func(want lain.ProcWant) lain.ProcSeen {
			s := serves(want)
			if want.Release == 2 {
				s.State = lain.SeenRolling
				select {
				case stuck <- struct{}{}:
				default:
				}
			}
			return s
		})
		good := w.commit(goodManifest, "one")
		w.wait(w.submit(good))
		run := w.submit(w.commit(goodManifest, "two"))
		<-stuck
		w.die()
		w.restart("second")
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := w.wait(run)
		if s.State != lain.RunInterrupted || w.branch() != string(good) || s.Reason != "the server was restarted during the rollout, v1 still serves, as v3" {
			t.Errorf("%s: %s; main %s", s.State, s.Reason, w.branch())
		}
		w.wantReturn(3, 1, 2)
	})
	t.Run("what serves gets its branch", func(t *testing.T) {
		w := newWorld(t)
		w.engine(serves)
		run := w.wait(w.submit(w.commit(goodManifest, "one")))
		r, _ := w.repos.Open(w.t.Context(), "hello")
		if err := r.DeleteRef(t.Context(), "refs/heads/main", run.Commit); err != nil {
			t.Fatal(err)
		}
		w.restart("second")
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.branch() != string(run.Commit) {
			t.Errorf("main names %q", w.branch())
		}
	})
}

func TestHostOfAnotherApplicationIsRefused(t *testing.T) {
	w := newWorld(t)
	_, err := state.Of[lain.HostClaim](w.store, lain.HostsPrefix).Create(t.Context(), "www.example.org", lain.HostClaim{Host: "www.example.org", App: "other"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trySubmit(w.commit(goodManifest+"  mountpoint: [www.example.org]\n", "one"))
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != fault.Conflict || strings.Contains(f.Sentence, "other") && !strings.Contains(f.Sentence, "another") {
		t.Errorf("%v", err)
	}
}

func TestManyPushesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	var commits []lain.Commit
	for i := range 5 {
		commits = append(commits, w.commit(goodManifest, fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	ended := make([]lain.Run, len(commits))
	for i, c := range commits {
		wg.Go(func() {
			if run, err := w.trySubmit(c); err == nil {
				ended[i] = w.wait(run)
			}
		})
	}
	wg.Wait()
	done := map[string]bool{}
	for _, r := range ended {
		if r.State == lain.RunDone {
			done[string(r.Commit)] = true
		}
	}
	if !done[w.branch()] {
		t.Errorf("main names %s, which no push was told to serve", w.branch())
	}
}

func TestRoutesThatCanNotBeServedAreRefused(t *testing.T) {
	w := newWorld(t)
	if _, err := w.trySubmit(w.commit(goodManifest+"  https_only: true\n", "no https")); err == nil || !strings.Contains(err.Error(), "nothing is served over https here") {
		t.Errorf("https where there is none: %v", err)
	}
	w.p.o.Certified = func(_ context.Context, host string) error {
		if strings.HasSuffix(host, ".example.test") {
			return nil
		}
		return fault.New(fault.Invalid, "no certificate for %s", host)
	}
	for name, c := range map[string]struct{ lines, want string }{
		"a host of an application to come": {"  mountpoint: [other.example.test]\n", "lain.yaml:5: the host other.example.test belongs to another application"},
		"the cluster's own host":           {"  mountpoint: [example.test]\n", "lain.yaml:5: the host example.test is the cluster's own"},
		"https without a certificate":      {"  https_only: true\n  mountpoint: [bare.example.org]\n", "lain.yaml:5: web is https_only: no certificate for bare.example.org"},
	} {
		if _, err := w.trySubmit(w.commit(goodManifest+c.lines, name)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.trySubmit(w.commit(goodManifest+"  mountpoint: [api.hello.example.test]\n", "own")); err != nil {
		t.Errorf("a host below its own: %v", err)
	}
	if _, err := w.trySubmit(w.commit(goodManifest+"  https_only: true\n", "secure")); err != nil {
		t.Errorf("https with a certificate: %v", err)
	}
}

func TestATreeThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	c := w.commit(goodManifest, "0123456789")
	w.p.o.MaxTreeBytes = int64(len(goodManifest)) + 9
	if _, err := w.trySubmit(c); err == nil || !strings.Contains(err.Error(), `"lain.yaml" is where it is too much`) {
		t.Errorf("one byte too many: %v", err)
	}
	w.p.o.MaxTreeBytes++
	if _, err := w.trySubmit(c); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
}

func TestOldFailuresAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1))
	good := w.wait(w.submit(w.commit(goodManifest, "one")))
	bad := w.wait(w.submit(w.commit(goodManifest, "two")))
	w.p.o.Now = func() time.Time { return time.Now().Add(keepFailed - time.Hour) }
	w.p.retainApp(t.Context(), w.app())
	if _, err := w.p.Get(t.Context(), "hello", bad.Number); err != nil {
		t.Errorf("a failed run is gone too early: %v", err)
	}
	w.p.o.Now = func() time.Time { return time.Now().Add(keepFailed + time.Hour) }
	w.p.retainApp(t.Context(), w.app())
	if _, err := w.p.Get(t.Context(), "hello", bad.Number); err == nil {
		t.Error("a failed run is kept for ever")
	}
	if _, err := os.Stat(w.p.logPath(bad)); !os.IsNotExist(err) {
		t.Errorf("its log is left: %v", err)
	}
	if _, err := w.p.Get(t.Context(), "hello", good.Number); err != nil {
		t.Errorf("the run of what serves is gone: %v", err)
	}
}
