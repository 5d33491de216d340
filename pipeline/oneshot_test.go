package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

const withOneshots = goodManifest + "oneshot.migrate:\n  cmd: migrate\noneshot.seed:\n  cmd: seed\n"

// jobs plays what becomes of oneshots, and counts how often each wish of one was made.
type jobs struct {
	w      *world
	answer func(lain.ProcWant) lain.SeenState // of a oneshot

	mu    sync.Mutex
	begun []string
	met   chan lain.ProcWant
}

func (w *world) jobs(answer func(lain.ProcWant) lain.SeenState) *jobs {
	j := &jobs{w: w, answer: answer, met: make(chan lain.ProcWant, 100)}
	w.engine(j.judge)
	return j
}

func (j *jobs) judge(want lain.ProcWant) lain.ProcSeen {
	s := serves(want)
	s.Instances = []lain.InstanceSeen{{Number: 1, Task: "t-" + string(want.Spec.Name), State: "running", Release: want.Release}}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begun = append(j.begun, fmt.Sprintf("%s of v%d", want.Spec.Name, want.Started()))
	if want.Spec.Type == lain.Oneshot {
		j.met <- want
		s.State = j.answer(want)
		if s.State == lain.SeenFailed {
			code := 3
			s.Reason = string(want.Spec.Name) + " ended with exit code 3"
			s.Failure = &lain.Failure{Proc: want.Spec.Name, Sentence: s.Reason, ExitCode: &code, LogTail: []string{"no such table"}}
		}
	}
	return s
}

// all are the wishes in their order, each once.
func (j *jobs) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Compact(slices.Clone(j.begun))
}

func (j *jobs) order(want ...string) {
	j.w.t.Helper()
	if got := j.all(); !slices.Equal(got, want) {
		j.w.t.Errorf("began %q, want %q", got, want)
	}
}

func well(lain.ProcWant) lain.SeenState  { return lain.SeenServing }
func hangs(lain.ProcWant) lain.SeenState { return lain.SeenRolling }

func (w *world) verdict(want lain.ProcWant, s lain.SeenState) {
	w.t.Helper()
	seen := serves(want)
	seen.State = s
	if _, err := state.Of[lain.ProcSeen](w.store, lain.SeenPrefix).Put(w.t.Context(), want.Key(), seen); err != nil {
		w.t.Fatal(err)
	}
}

// ends are how oneshots ended the last time, by name.
func (w *world) ends() map[lain.ProcName]lain.ProcSeen {
	w.t.Helper()
	items, _, err := state.Of[lain.ProcSeen](w.store, lain.OneshotsPrefix).List(w.t.Context(), "hello/")
	if err != nil {
		w.t.Fatal(err)
	}
	ends := map[lain.ProcName]lain.ProcSeen{}
	for _, i := range items {
		ends[i.Value.Proc] = i.Value
	}
	return ends
}

// noneWanted checks that no oneshot is wished for any more.
func (w *world) noneWanted() {
	w.t.Helper()
	items, _, err := state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).List(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range items {
		if i.Value.Spec.Type == lain.Oneshot {
			w.t.Errorf("%s is still wanted", i.Key)
		}
	}
}

func (w *world) logHas(run lain.Run, words ...string) {
	w.t.Helper()
	for _, want := range words {
		if log := w.log(run); !strings.Contains(log, want) {
			w.t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

func TestOneshotsRunBeforeTheRollout(t *testing.T) {
	w := newWorld(t)
	j := w.jobs(well)
	run := w.wait(w.submit(w.commit(withOneshots, "one")))
	if run.State != lain.RunDone {
		t.Fatalf("%s: %s\n%s", run.State, run.Reason, w.log(run))
	}
	j.order("migrate of v1", "seed of v1", "web of v1")
	if ends := w.ends(); ends["migrate"].State != lain.SeenEnded || ends["seed"].State != lain.SeenEnded || ends["seed"].Release != 1 {
		t.Errorf("%+v", ends)
	}
	w.noneWanted()
	// The same tree in another commit is a new release, and one without them forgets them.
	w.wait(w.submit(w.commit(withOneshots, "one")))
	j.order("migrate of v1", "seed of v1", "web of v1", "migrate of v2", "seed of v2", "web of v2")
	w.wait(w.submit(w.commit(goodManifest, "three")))
	if ends := w.ends(); len(ends) != 0 {
		t.Errorf("%+v", ends)
	}
}

func TestAFailedOneshotMovesNothing(t *testing.T) {
	w := newWorld(t)
	bad := false
	j := w.jobs(func(want lain.ProcWant) lain.SeenState {
		if bad && want.Spec.Name == "seed" {
			return lain.SeenFailed
		}
		return lain.SeenServing
	})
	good := w.commit(withOneshots, "one")
	w.wait(w.submit(good))
	bad = true
	run := w.wait(w.submit(w.commit(withOneshots, "two")))
	if run.State != lain.RunFailed || run.Reason != "seed ended with exit code 3, v1 still serves" || run.Stage != plan.Oneshot {
		t.Errorf("%s in %s: %s", run.State, run.Stage, run.Reason)
	}
	j.order("migrate of v1", "seed of v1", "web of v1", "migrate of v2", "seed of v2")
	w.logHas(run, "no such table", "exit code 3", "What migrate and seed did is not undone.", "v1 still serves")
	if w.branch() != string(good) || w.release(2).Status != lain.ReleaseFailed || w.release(1).Status != lain.ReleaseServing || len(run.Failures) != 1 {
		t.Errorf("main is %s, v2 is %s, v1 is %s, %d failures", w.branch(), w.release(2).Status, w.release(1).Status, len(run.Failures))
	}
	if n := w.app().LastRelease; n != 2 {
		t.Errorf("nothing had moved, but v%d was made", n)
	}
	if end := w.ends()["seed"]; end.State != lain.SeenFailed || end.Release != 2 || end.Failure == nil {
		t.Errorf("%+v", end)
	}
	w.noneWanted()
}

func TestWhatOneshotsDidIsToldOfWhenTheRolloutFails(t *testing.T) {
	w := newWorld(t)
	w.engine(func(want lain.ProcWant) lain.ProcSeen {
		if want.Spec.Type == lain.Oneshot {
			return serves(want)
		}
		return sick()(want)
	})
	run := w.wait(w.submit(w.commit(withOneshots, "one")))
	w.logHas(run, "web exited with code 3", "What migrate and seed did is not undone.")
}

func TestACancelledOneshotIsStopped(t *testing.T) {
	w := newWorld(t)
	j := w.jobs(hangs)
	run := w.submit(w.commit(withOneshots, "one"))
	<-j.met
	if err := w.p.Cancel(t.Context(), "hello", run.Number, "cancelled by alice"); err != nil {
		t.Fatal(err)
	}
	ended := w.wait(run)
	if ended.State != lain.RunCancelled || ended.Reason != "cancelled by alice; migrate was stopped, nothing serves yet" {
		t.Errorf("%s: %s", ended.State, ended.Reason)
	}
	j.order("migrate of v1")
	w.logHas(run, "What migrate did is not undone.")
	if end := w.ends()["migrate"]; end.State != lain.SeenStopped || w.release(1).Status != lain.ReleaseFailed {
		t.Errorf("it is recorded as %+v, v1 is %s", end, w.release(1).Status)
	}
	w.noneWanted()
}

func TestOneshotsAreLeftOut(t *testing.T) {
	w := newWorld(t)
	j := w.jobs(well)
	run := w.wait(w.submit(w.commit(withOneshots, "one"), func(r *lain.RunRequest) { r.SkipOneshot = true }))
	j.order("web of v1")
	w.logHas(run, "Leaving out migrate and seed (-o skip-oneshot)")
	skipped := func(run lain.Run) string {
		for _, s := range run.Stages {
			if s.Name == plan.Oneshot {
				return s.Skipped
			}
		}
		return ""
	}
	if !run.SkipOneshot || skipped(run) != "-o skip-oneshot" {
		t.Errorf("it is recorded as %+v", run)
	}
	for _, c := range []lain.Change{{Why: lain.WhyRollback, From: 1}, {Why: lain.WhyRedeploy}, {Why: lain.WhyRestart}} {
		run := w.wait(w.change(c))
		if run.State != lain.RunDone || skipped(run) != fmt.Sprintf("a %s runs none", c.Why) {
			t.Errorf("%s: %s: %s, %q", c.Why, run.State, run.Reason, skipped(run))
		}
	}
	for _, name := range j.all() {
		if strings.HasPrefix(name, "migrate") {
			t.Errorf("began %s", name)
		}
	}
	if _, err := w.p.Submit(t.Context(), lain.RunRequest{App: "hello", By: "bob", Change: &lain.Change{Why: lain.WhyRestart, Procs: []lain.ProcName{"seed"}}}); err == nil || !strings.Contains(err.Error(), "seed is a oneshot proc") {
		t.Errorf("restart of a oneshot: %v", err)
	}
}

// A proc that serves may become a oneshot: it serves on until the new release does.
func TestAProcBecomesAOneshot(t *testing.T) {
	w := newWorld(t)
	bad := true
	w.jobs(func(lain.ProcWant) lain.SeenState {
		if bad {
			return lain.SeenFailed
		}
		return lain.SeenServing
	})
	wanted := func() bool {
		_, err := state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).Get(t.Context(), "hello/worker")
		return err == nil
	}
	w.wait(w.submit(w.commit(twoProcs, "one")))
	retyped := strings.Replace(twoProcs, "worker:", "oneshot.worker:", 1)
	if run := w.wait(w.submit(w.commit(retyped, "two"))); run.State != lain.RunFailed || !wanted() {
		t.Errorf("%s: %s; the worker is wanted: %t", run.State, run.Reason, wanted())
	}
	bad = false
	if run := w.wait(w.submit(w.commit(retyped, "three"))); run.State != lain.RunDone || wanted() {
		t.Errorf("%s: %s; the worker is wanted: %t", run.State, run.Reason, wanted())
	}
}

func TestAnApplicationOfOneshotsOnly(t *testing.T) {
	w := newWorld(t)
	w.jobs(well)
	run := w.wait(w.submit(w.commit("appname: hello\nbuild: {base: base:1, script: [make]}\noneshot: {cmd: x}\n", "one")))
	if run.State != lain.RunDone {
		t.Errorf("%s: %s\n%s", run.State, run.Reason, w.log(run))
	}
}

func TestTakeoverOfOneshots(t *testing.T) {
	// killed pushes, dies while the first oneshot hangs, and starts again
	killed := func(t *testing.T, change ...func(*lain.RunRequest)) (*world, *jobs, lain.Run, lain.ProcWant) {
		w := newWorld(t)
		j := w.jobs(hangs)
		run := w.submit(w.commit(withOneshots, "one"), change...)
		want := <-j.met
		w.die()
		w.restart("second")
		return w, j, run, want
	}
	detached := func(r *lain.RunRequest) { r.Detach = true }
	start := func(t *testing.T, w *world) {
		t.Helper()
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("nobody was told success: it is stopped", func(t *testing.T) {
		w, j, run, _ := killed(t)
		start(t, w)
		s := w.wait(run)
		if s.State != lain.RunInterrupted || s.Reason != "the server was restarted before the rollout; migrate was stopped, nothing serves yet" {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
		j.order("migrate of v1")
		w.logHas(run, "What migrate did is not undone.")
		if w.ends()["migrate"].State != lain.SeenStopped || w.release(1).Status != lain.ReleaseFailed {
			t.Errorf("%+v, v1 is %s", w.ends(), w.release(1).Status)
		}
		w.noneWanted()
	})
	t.Run("detached: it is waited for, and not begun again", func(t *testing.T) {
		w, j, run, want := killed(t, detached)
		w.jobsAnswer(j, well)
		start(t, w)
		w.verdict(want, lain.SeenServing)
		if s := w.wait(run); s.State != lain.RunDone {
			t.Errorf("%s: %s\n%s", s.State, s.Reason, w.log(run))
		}
		if all := j.all(); all[0] != "migrate of v1" || !slices.Contains(all, "seed of v1") || all[len(all)-1] != "web of v1" {
			t.Errorf("began %q", all)
		}
	})
	t.Run("detached: what has ended is not run again", func(t *testing.T) {
		w, j, run, want := killed(t, detached)
		end := serves(want)
		end.State = lain.SeenEnded
		if _, err := state.Of[lain.ProcSeen](w.store, lain.OneshotsPrefix).Put(t.Context(), "hello/migrate", end); err != nil {
			t.Fatal(err)
		}
		if _, err := state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).Delete(t.Context(), want.Key()); err != nil {
			t.Fatal(err)
		}
		w.jobsAnswer(j, well)
		start(t, w)
		if s := w.wait(run); s.State != lain.RunDone {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
		j.order("migrate of v1", "seed of v1", "web of v1")
	})
	t.Run("detached: it can still be cancelled", func(t *testing.T) {
		w, _, run, _ := killed(t, detached)
		start(t, w)
		if err := w.p.Cancel(t.Context(), "hello", run.Number, "cancelled by bob"); err != nil {
			t.Fatal(err)
		}
		if s := w.wait(run); s.State != lain.RunCancelled {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
		w.noneWanted()
	})
}

// sealed is a vault that gives no values to be kept out of a log.
type sealed struct{ *vault }

func (sealed) Values(context.Context, lain.AppName, []lain.ProcSpec) ([]string, error) {
	return nil, fault.New(fault.Unavailable, "the vault is sealed")
}

// What a oneshot writes is shown without the values of secrets, by a run that was taken over as well; where those
// are not known it is not shown at all.
func TestSecretsInWhatAOneshotWritesAreHidden(t *testing.T) {
	for name, c := range map[string]struct {
		after   func(*vault) Secrets // what the next start finds
		has     string
		hasNone string
	}{
		"known":     {func(v *vault) Secrets { return v }, "oneshot migrate: the key is ", "hunter2"},
		"not known": {func(v *vault) Secrets { return sealed{v} }, "what oneshot procs write is not shown", "the key is"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := &vault{files: map[lain.SecretPath]int{"/lain/app/conf/key": 1}}
			o := &output{lines: []engine.LogLine{{At: time.Unix(1, 0), Text: "the key is hunter2hunter2"}}}
			w.p.o.Secrets = v
			j := w.jobs(hangs)
			run := w.submit(w.commit(goodManifest+"oneshot.migrate: {cmd: x, secret_files: [conf/key]}\n", "one"), func(r *lain.RunRequest) { r.Detach = true })
			<-j.met
			w.die()
			w.restart("second")
			w.p.o.Secrets, w.p.o.Output = c.after(v), o
			w.jobsAnswer(j, well)
			if err := w.p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := w.wait(run); s.State != lain.RunDone {
				t.Errorf("%s: %s", s.State, s.Reason)
			}
			if log := w.log(run); !strings.Contains(log, c.has) || strings.Contains(log, c.hasNone) {
				t.Errorf("the log says:\n%s", log)
			}
		})
	}
}

func (w *world) jobsAnswer(j *jobs, answer func(lain.ProcWant) lain.SeenState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answer = answer
}

// A server that stops has no time for a oneshot that hangs: its pusher is told, and it is stopped.
func TestDrainStopsAOneshot(t *testing.T) {
	w := newWorld(t)
	j := w.jobs(hangs)
	run := w.submit(w.commit(withOneshots, "one"))
	<-j.met
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.p.Drain(ended)
	s := w.wait(run)
	if s.State != lain.RunInterrupted || s.Reason != "the server is shutting down; migrate was stopped, nothing serves yet" || w.release(1).Status != lain.ReleaseFailed {
		t.Errorf("%s: %s; v1 is %s", s.State, s.Reason, w.release(1).Status)
	}
	w.noneWanted()
}

// output plays the engine's logs: lines that came before it was asked, and lines that come while it is followed.
type output struct {
	mu    sync.Mutex
	lines []engine.LogLine
}

func (o *output) write(n int, stderr bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, engine.LogLine{At: time.Unix(int64(n), 0), Text: fmt.Sprintf("line %d", n), Stderr: stderr})
}

func (o *output) TaskLines(ctx context.Context, task string, since time.Time, follow bool, fn func(engine.LogLine) error) error {
	o.mu.Lock()
	lines := slices.Clone(o.lines)
	o.mu.Unlock()
	for _, l := range lines {
		if !l.At.Before(since) {
			if err := fn(l); err != nil {
				return err
			}
		}
	}
	if follow {
		<-ctx.Done()
	}
	return nil
}

func TestWhatAOneshotWritesIsInTheLogOnce(t *testing.T) {
	w := newWorld(t)
	o := &output{}
	w.p.o.Output = o
	for n := range 3 {
		o.write(n+1, n == 1)
	}
	j := w.jobs(hangs)
	run := w.submit(w.commit(strings.Replace(withOneshots, "oneshot.seed:", "worker.seed:", 1), "one"))
	want := <-j.met
	heard := make(chan struct{})
	go func() {
		n := 0
		_ = w.p.Follow(t.Context(), "hello", run.Number, func(events []report.Event) error {
			for _, e := range events {
				if strings.HasPrefix(e.Text, "oneshot migrate: line") {
					if n++; n == 3 {
						close(heard)
					}
				}
			}
			return nil
		})
	}()
	<-heard // as it comes, before the end
	o.write(4, true)
	o.write(5, false)
	seen := serves(want)
	seen.Instances = []lain.InstanceSeen{{Number: 1, Task: "t-migrate", State: "complete"}}
	if _, err := state.Of[lain.ProcSeen](w.store, lain.SeenPrefix).Put(t.Context(), want.Key(), seen); err != nil {
		t.Fatal(err)
	}
	if s := w.wait(run); s.State != lain.RunDone {
		t.Fatalf("%s: %s", s.State, s.Reason)
	}
	log := w.log(run)
	for n := range 5 {
		if got := strings.Count(log, fmt.Sprintf("oneshot migrate: line %d\n", n+1)); got != 1 {
			t.Errorf("line %d is there %d times in:\n%s", n+1, got, log)
		}
	}
}
