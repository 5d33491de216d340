package pipeline

import (
	"strings"
	"sync/atomic"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

// refs are the references of the application below a prefix, by name.
func (w *world) refs(prefix string) map[string]lain.Commit {
	w.t.Helper()
	r, err := w.repos.Open(w.t.Context(), "hello")
	if err != nil {
		w.t.Fatal(err)
	}
	found, err := r.Refs(w.t.Context(), prefix)
	if err != nil {
		w.t.Fatal(err)
	}
	refs := map[string]lain.Commit{}
	for _, ref := range found {
		refs[ref.Name] = ref.ID
	}
	return refs
}

// wantReturn checks that release n is the return of a run to root, that it serves by all records and is the newest.
func (w *world) wantReturn(n, root, run int) {
	w.t.Helper()
	r, of := w.release(n), w.release(root)
	if r.Why != lain.WhyReturn || r.From != root || r.Run != run || r.Status != lain.ReleaseServing || r.Commit != of.Commit || r.Image != of.Image || !r.Ended.IsZero() {
		w.t.Errorf("v%d is no return to v%d by r-%d: %+v", n, root, run, r)
	}
	if of.Status != lain.ReleaseReplaced || of.Ended.IsZero() {
		w.t.Errorf("v%d is %s since %s, want it replaced", root, of.Status, of.Ended)
	}
	if app := w.app(); app.Serving != n || app.LastRelease != n {
		w.t.Errorf("v%d serves and v%d is the newest, want v%d", app.Serving, app.LastRelease, n)
	}
	want, err := state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).Get(w.t.Context(), "hello/web")
	if err != nil || want.Value.Release != n || want.Value.Attempt != plan.ReturnAttempt(run) || want.Value.Started() != root {
		w.t.Errorf("wanted is %+v, %v", want.Value, err)
	}
	routes, err := state.Of[lain.AppRoutes](w.store, lain.RoutesPrefix).Get(w.t.Context(), "hello")
	if err != nil || routes.Value.Release != n {
		w.t.Errorf("routes are of v%d, %v", routes.Value.Release, err)
	}
	if refs := w.refs("refs/releases"); refs["refs/releases/"+r.Version()] != of.Commit {
		w.t.Errorf("filed is %v", refs)
	}
	if w.branch() != string(of.Commit) {
		w.t.Errorf("main names %s", w.branch())
	}
}

func TestAReturnIsARelease(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1))
	w.wait(w.submit(w.commit(goodManifest, "one")))
	bad := w.wait(w.submit(w.commit(goodManifest, "two"), func(r *lain.RunRequest) { r.By = "bob" }))
	if bad.State != lain.RunFailed || bad.Release != 2 || bad.Reason != "web exited with code 3, v1 still serves, as v3" {
		t.Errorf("%s of v%d: %s", bad.State, bad.Release, bad.Reason)
	}
	w.logHas(bad, "Returning to v1 (as v3)", "v1 still serves, as v3")
	w.wantReturn(3, 1, 2)
	if r := w.release(2); r.Status != lain.ReleaseFailed || r.Reason != "web exited with code 3" {
		t.Errorf("v2 is %s: %s", r.Status, r.Reason)
	}
	if by := w.release(3).By; by != "bob" {
		t.Errorf("v3 is by %s, not by whose release failed", by)
	}
	// A return of a return is one of its root.
	again := w.wait(w.submit(w.commit(goodManifest, "three")))
	if again.Reason != "web exited with code 3, v1 still serves, as v5" {
		t.Errorf("%s", again.Reason)
	}
	w.wantReturn(5, 1, 3)
	if s := w.release(3).Status; s != lain.ReleaseReplaced {
		t.Errorf("v3 is %s", s)
	}
}

// A return has the secrets and sizes of what served, whatever the failed release had.
func TestAReturnKeepsSecretsAndSizes(t *testing.T) {
	var broken atomic.Bool
	w, v := newVaultWorld(t, func(want lain.ProcWant) lain.ProcSeen {
		if broken.Load() && want.Started() > 2 {
			return sick()(want)
		}
		return serves(want)
	})
	v.set("/lain/app/conf/key", 1)
	w.wait(w.submit(w.commit(withSecret, "one")))
	two := 2
	w.wait(w.change(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &two}}}))
	v.set("/lain/app/conf/key", 2)
	broken.Store(true)
	run := w.wait(w.change(lain.Change{Why: lain.WhyRedeploy}))
	if run.State != lain.RunFailed || !strings.HasSuffix(run.Reason, "v2 still serves, as v4") {
		t.Fatalf("%s: %s", run.State, run.Reason)
	}
	w.wantPinned(3, 2, 0, 3, 3)
	w.wantPinned(4, 1, 0, 1, 1)
	back := w.release(4)
	if web, _ := back.Proc("web"); web.Instances != 2 || *web.Declared.Instances != 1 || *back.Sizes["web"].Instances != 2 {
		t.Errorf("the sizes are not those of v2: %+v", back)
	}
}

// A process that dies after the return was written finds it: there is no second one, and the run ends with the
// reason that its release has, however often that happens.
func TestAReturnIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	var open atomic.Bool
	hanging := make(chan struct{}, 10)
	w.engine(func(want lain.ProcWant) lain.ProcSeen {
		s := sick(1)(want)
		if !open.Load() && want.Attempt == plan.ReturnAttempt(2) {
			s.State = lain.SeenRolling
			hanging <- struct{}{}
		}
		return s
	})
	w.wait(w.submit(w.commit(goodManifest, "one")))
	run := w.submit(w.commit(goodManifest, "two"))
	<-hanging
	w.die()
	for _, id := range []string{"second", "third"} {
		commit := w.release(1).Commit
		r, err := w.repos.Open(t.Context(), "hello")
		if err != nil {
			t.Fatal(err)
		}
		if w.refs("refs/releases")["refs/releases/v3"] != "" { // it may have died before that, too
			if err := r.DeleteRef(t.Context(), "refs/releases/v3", commit); err != nil {
				t.Fatal(err)
			}
		}
		w.restart(id)
		if err := w.p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.refs("refs/releases")["refs/releases/v3"]; got != commit {
			t.Errorf("the %s start files v3 as %q", id, got)
		}
		w.die()
	}
	open.Store(true)
	want, err := state.Of[lain.ProcWant](w.store, lain.ProcsPrefix).Get(t.Context(), "hello/web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Of[lain.ProcSeen](w.store, lain.SeenPrefix).Put(t.Context(), "hello/web", serves(want.Value)); err != nil {
		t.Fatal(err)
	}
	w.restart("fourth")
	if err := w.p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.wait(run); s.State != lain.RunFailed || s.Release != 2 || s.Reason != "web exited with code 3, v1 still serves, as v3" {
		t.Errorf("%s of v%d: %s", s.State, s.Release, s.Reason)
	}
	w.wantReturn(3, 1, 2)
}

// A run's record may be older than its release: the release is found among the newest, and never its return.
func TestTheReleaseOfARunIsFound(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1))
	w.wait(w.submit(w.commit(goodManifest, "one")))
	run := w.wait(w.submit(w.commit(goodManifest, "two")))
	w.wait(w.submit(w.commit(goodManifest, "three")))
	for name, named := range map[string]int{"named": 2, "not named": 0} {
		run.Release = named
		if r, err := w.p.releaseOf(t.Context(), run); err != nil || r == nil || r.Number != 2 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	run.Number, run.Release = 9, 0
	if r, err := w.p.releaseOf(t.Context(), run); err != nil || r != nil {
		t.Errorf("of a run that made none: %+v, %v", r, err)
	}
}

// A return is its root under another number: one ban is for both. It stops no return, since what serves goes on.
func TestABanOfAReturnIsOneOfItsRoot(t *testing.T) {
	w := newWorld(t)
	w.engine(sick(1, 4))
	w.wait(w.submit(w.commit(goodManifest, "one")))
	w.ban(1, &lain.Ban{Reason: "leaks", By: "alice"})
	w.wait(w.submit(w.commit(goodManifest, "two")))
	w.wantReturn(3, 1, 2)
	w.wait(w.submit(w.commit(goodManifest, "four")))
	refused := func(from int) bool {
		_, _, err := w.p.Preview(t.Context(), "hello", lain.Change{Why: lain.WhyRollback, From: from})
		if err != nil && !strings.Contains(err.Error(), "was banned by alice: leaks") {
			t.Errorf("v%d: %v", from, err)
		}
		return err != nil
	}
	if !refused(1) || !refused(3) {
		t.Error("a banned release is released again")
	}
	if root := w.ban(3, nil); root != 1 || refused(1) || refused(3) {
		t.Errorf("v3 was allowed, by v%d", root)
	}
	if root := w.ban(3, &lain.Ban{Reason: "leaks", By: "alice"}); root != 1 || w.release(3).Ban != nil || !refused(1) || !refused(3) {
		t.Errorf("v3 was banned, by v%d", root)
	}
	if _, err := w.p.Ban(t.Context(), "hello", 9, nil); err == nil || !strings.Contains(err.Error(), "has no release v9") {
		t.Errorf("%v", err)
	}
}
