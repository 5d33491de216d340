package pipeline

import (
	"errors"
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

const twoProcs = goodManifest + "worker:\n  cmd: work\n"

func (w *world) change(c lain.Change) lain.Run {
	w.t.Helper()
	run, err := w.p.Submit(w.t.Context(), lain.RunRequest{App: "hello", By: "bob", Change: &c})
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

// ban bans a release, or its root, which it gives.
func (w *world) ban(n int, b *lain.Ban) (root int) {
	w.t.Helper()
	root, err := w.p.Ban(w.t.Context(), "hello", n, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return root
}

func (w *world) release(n int) lain.Release {
	w.t.Helper()
	item, err := state.Of[lain.Release](w.store, lain.ReleasesPrefix).Get(w.t.Context(), lain.NumberKey("hello", n))
	if err != nil {
		w.t.Fatal(err)
	}
	return item.Value
}

func TestRollbackIsANewReleaseAndMovesTheBranchBack(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	first := w.commit(goodManifest, "one")
	w.wait(w.submit(first))
	second := w.commit(goodManifest, "two")
	w.wait(w.submit(second))
	run := w.wait(w.change(lain.Change{Why: lain.WhyRollback, From: 1}))
	if run.State != lain.RunDone || run.Release != 3 {
		t.Fatalf("%s: %s\n%s", run.State, run.Reason, w.log(run))
	}
	if w.branch() != string(first) {
		t.Errorf("main names %s, want %s", w.branch(), first)
	}
	r := w.release(3)
	if r.Why != lain.WhyRollback || r.From != 1 || r.Commit != first || r.By != "bob" || w.release(2).Status != lain.ReleaseReplaced {
		t.Errorf("v3 is %+v", r)
	}
	if s := w.wait(w.submit(w.commit(goodManifest, "three"))); s.State != lain.RunDone {
		t.Errorf("the next push: %s: %s", s.State, s.Reason)
	}
}

func TestAFailedRollbackKeepsWhatServes(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1, 2))
	w.wait(w.submit(w.commit(goodManifest, "one")))
	second := w.commit(goodManifest, "two")
	w.wait(w.submit(second))
	run := w.wait(w.change(lain.Change{Why: lain.WhyRollback, From: 1}))
	if run.State != lain.RunFailed || !strings.Contains(run.Reason, "v2 still serves") || w.branch() != string(second) {
		t.Errorf("%s: %s; main is %s", run.State, run.Reason, w.branch())
	}
}

func TestWhatCanNotBeReleasedAgain(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1, 4)) // v3 is the return to v1
	w.wait(w.submit(w.commit(goodManifest, "one")))
	w.wait(w.submit(w.commit(goodManifest, "two")))
	w.wait(w.submit(w.commit(goodManifest, "three")))
	w.ban(1, &lain.Ban{Reason: "leaks", By: "alice"})
	for name, c := range map[string]struct {
		from int
		want string
	}{"failed": {2, "never served"}, "banned": {1, "banned by alice: leaks"}, "unknown": {9, "has no release v9"}} {
		_, err := w.p.Submit(t.Context(), lain.RunRequest{App: "hello", By: "bob", Change: &lain.Change{Why: lain.WhyRollback, From: c.from}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	w.ban(1, nil)
	w.build.mu.Lock()
	w.build.have = nil // somebody emptied the registry
	w.build.mu.Unlock()
	_, err := w.p.Submit(t.Context(), lain.RunRequest{App: "hello", By: "bob", Change: &lain.Change{Why: lain.WhyRollback, From: 1}})
	if err == nil || !strings.Contains(err.Error(), "is not kept any more") {
		t.Errorf("without its image: %v", err)
	}
}

func TestAnotherAppsNothingToChange(t *testing.T) {
	w := newWorld(t)
	_, err := w.p.Submit(t.Context(), lain.RunRequest{App: "nobody", By: "bob", Change: &lain.Change{Why: lain.WhyRestart}})
	if fault.Of(err).Kind != fault.NotFound {
		t.Errorf("%v", err)
	}
}

func TestScaleLastsOverPushesAndGoesBack(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(twoProcs, "one")))
	three := 3
	run := w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &three}}}))
	if run.State != lain.RunDone {
		t.Fatalf("%s: %s", run.State, run.Reason)
	}
	push := w.wait(w.submit(w.commit(twoProcs, "two")))
	web, _ := w.release(3).Proc("web")
	if web.Instances != 3 || web.Declared == nil || *web.Declared.Instances != 1 {
		t.Errorf("after a push: %+v", web)
	}
	if !strings.Contains(w.log(push), "web is scaled: 3 instances (lain.yaml: 1)") {
		t.Errorf("the push does not say that web is scaled:\n%s", w.log(push))
	}
	w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {}}}))
	if web, _ := w.release(4).Proc("web"); web.Instances != 1 || web.Declared != nil {
		t.Errorf("back to lain.yaml: %+v", web)
	}
}

func TestImpossibleSizesAreRefusedBeforeARun(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	many, nine := 100000, 9
	for name, sizes := range map[string]map[lain.ProcName]lain.Size{
		"unknown": {"nosuch": {Instances: &nine}}, "many": {"web": {Instances: &many}},
		"tiny": {"web": {MemoryBytes: 1}}, "level": {"web": {CPULevel: &nine}},
	} {
		if _, err := w.p.Submit(t.Context(), lain.RunRequest{App: "hello", By: "bob", Change: &lain.Change{Why: lain.WhyScale, Sizes: sizes}}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if w.app().LastRun != 1 {
		t.Errorf("a refusal left run %d", w.app().LastRun)
	}
}

// Containers are replaced only where something of them changes, or where a person asks for it.
func TestWhichProcsGetNewContainers(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(twoProcs, "one")))
	since := func(n int) [2]int {
		r := w.release(n)
		web, _ := r.Proc("web")
		worker, _ := r.Proc("worker")
		return [2]int{web.Since, worker.Since}
	}
	two := 2
	w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &two}}}))
	w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {MemoryBytes: 64 << 20}}}))
	w.wait(w.change(lain.Change{Why: lain.WhyRestart, Procs: []lain.ProcName{"worker"}}))
	w.wait(w.change(lain.Change{Why: lain.WhyRedeploy}))
	w.wait(w.submit(w.commit(twoProcs, "two")))
	for i, want := range [][2]int{{1, 1}, {1, 1}, {3, 1}, {3, 4}, {5, 5}, {6, 6}} {
		if got := since(i + 1); got != want {
			t.Errorf("v%d: containers of web and worker are of %v, want %v", i+1, got, want)
		}
	}
}

func TestChangesWaitAndArePushedAsideByNobody(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	begun, release := w.blocked()
	push := w.submit(w.commit(goodManifest, "two"))
	<-begun
	two := 2
	scale := w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &two}}})
	restart := w.change(lain.Change{Why: lain.WhyRestart})
	last := w.submit(w.commit(goodManifest, "three"))
	release()
	for _, run := range []lain.Run{push, scale, restart, last} {
		if s := w.wait(run); s.State != lain.RunDone {
			t.Errorf("%s: %s: %s", s.ID(), s.State, s.Reason)
		}
	}
	if web, _ := w.release(5).Proc("web"); web.Instances != 2 {
		t.Errorf("the last push lost the scale: %+v", web)
	}
	if r := w.release(3); r.Commit != w.release(2).Commit {
		t.Errorf("the scale that waited is of %s, not of what served at its turn", r.Commit)
	}
}

// Somebody may ban a release while it is on its way: it serves, and stays banned.
func TestABanDuringTheRolloutIsKept(t *testing.T) {
	w := newWorld(t)
	w.engine(func(want lain.ProcWant) lain.ProcSeen {
		w.ban(want.Release, &lain.Ban{Reason: "leaks", By: "alice"})
		return serves(want)
	})
	w.wait(w.submit(w.commit(goodManifest, "one")))
	if r := w.release(1); r.Status != lain.ReleaseServing || r.Ban == nil || r.Ban.By != "alice" {
		t.Errorf("v1 is %s, banned %+v", r.Status, r.Ban)
	}
}

// Whoever ends a release does not overwrite what was written to it since it was read.
func TestAnEndAndABanAtOnce(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	tx := w.store.Begin("test")
	if _, err := (&execution{p: w.p}).endRelease(t.Context(), tx, "hello", 1, lain.ReleaseReplaced, ""); err != nil {
		t.Fatal(err)
	}
	w.ban(1, &lain.Ban{Reason: "leaks", By: "alice"})
	if _, err := tx.Commit(t.Context()); !errors.Is(err, state.ErrConflict) {
		t.Errorf("the ban is overwritten: %v", err)
	}
}
