//go:build acceptance

package stories

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// Two people push onto the same commit. The second one waits, and is refused when its turn comes: it does not
// hold what serves by then.
func TestMainMovesWhileAPushWaits(t *testing.T) {
	t.Parallel()
	alice, _ := serving(t, "moved")
	bob := alice.Clone(t, "")
	h, commit := held(t, alice, "alice")
	bob.Change("bob")
	first := alice.BeginPush()
	h.reached()
	second := bob.BeginPush()
	second.Sees("Waiting for r-2 of admin")
	h.letGo()
	if r := first.Wait(); r.Code != 0 {
		t.Errorf("the first push: exit %d\n%s", r.Code, r.All())
	}
	second.Wait().Refused(t, "main moved to "+commit[:7]+" while you waited, v2 still serves", "Fetch, merge or rebase, and push again.")
	alice.Truth(commit, "alice")

	bob.Git("fetch", "-q", "lain")
	bob.Git("rebase", "-q", "-X", "theirs", "lain/main")
	bob.Manifest("") // alice's step would stand still again
	commit = bob.Commit("both")
	bob.MustPush()
	bob.Truth(commit, "bob")
}

// A waiting push that builds on what serves by then goes on, and one that waits gives way to a newer one.
func TestThoseWhoWait(t *testing.T) {
	t.Parallel()
	app, _ := serving(t, "waits")
	h, _ := held(t, app, "two")
	first := app.BeginPush()
	h.reached()
	app.Manifest("")
	app.Change("three")
	second := app.BeginPush()
	second.Sees("Waiting for r-2")
	commit := app.Change("four")
	third := app.BeginPush()
	second.Wait().Refused(t, "superseded by r-4 of admin, which was pushed later")
	third.Sees("Waiting for r-2")
	h.letGo()
	for _, p := range []*town.Running{first, third} {
		if r := p.Wait(); r.Code != 0 {
			t.Errorf("exit %d\n%s", r.Code, r.All())
		}
	}
	app.Truth(commit, "four")
	for i, want := range []string{"done", "superseded", "done", "done"} { // the newest first
		if got := town.JSON[[]run](t, shared(t), "runs "+app.Name)[i]; got.State != want {
			t.Errorf("%s is %s, want %s", got.id(), got.State, want)
		}
	}
}

func TestCtrlCWhileWaiting(t *testing.T) {
	t.Parallel()
	app, _ := serving(t, "waitctrlc")
	h, commit := held(t, app, "two")
	first := app.BeginPush()
	h.reached()
	app.Change("three")
	second := app.BeginPush()
	second.Sees("Waiting for r-2")
	second.CtrlC()
	if r := ends(t, shared(t), app, 3); r.State != "cancelled" {
		t.Errorf("the run that waited is %s: %s", r.State, r.Reason)
	}
	h.letGo()
	if r := first.Wait(); r.Code != 0 {
		t.Errorf("the first push: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(commit, "two")
}

func TestSupersede(t *testing.T) {
	t.Parallel()
	app, _ := serving(t, "supersede")
	h, _ := held(t, app, "two")
	first := app.BeginPush()
	h.reached()
	app.Manifest("")
	commit := app.Change("three")
	r := app.MustPush("-o", "supersede", "lain", "main")
	if !strings.Contains(r.Stderr, "r-2 is stopped for this push") {
		t.Errorf("it does not say whom it stopped:\n%s", r.Stderr)
	}
	first.Wait().Refused(t, "superseded by r-3 of admin, which was pushed later, v1 still serves")
	h.gone(patience)
	app.Truth(commit, "three")
}

// A rollout is not stopped by -o supersede: the push waits for it.
func TestSupersede_LeavesARolloutAlone(t *testing.T) {
	t.Parallel()
	app, _ := serving(t, "superroll")
	app.Manifest("-delay 4s")
	app.Change("two")
	first := app.BeginPush()
	first.Sees("Ctrl-C only detaches")
	app.Manifest("")
	commit := app.Change("three")
	r := app.MustPush("-o", "supersede", "lain", "main")
	if !strings.Contains(r.Stderr, "Waiting for r-2") {
		t.Errorf("it did not wait:\n%s", r.Stderr)
	}
	if r := first.Wait(); r.Code != 0 {
		t.Errorf("the rollout that was left alone: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(commit, "three")
}

// Five people push different commits at once: those who are told success have served, one after another, all
// others are told why not, and main names what serves.
func TestFivePushesAtOnce(t *testing.T) {
	t.Parallel()
	pushesAtOnce(t, 5)
}

func TestTwoPushesAtOnce(t *testing.T) {
	t.Parallel()
	pushesAtOnce(t, 2)
}

func pushesAtOnce(t *testing.T, n int) {
	app, first := serving(t, "atonce")
	type pusher struct {
		app    *town.App
		commit string
		result town.Result
	}
	pushers := make([]*pusher, n)
	for i := range pushers {
		c := app.Clone(t, "")
		pushers[i] = &pusher{app: c, commit: c.Change(fmt.Sprintf("of%d", i))}
	}
	var all sync.WaitGroup
	for _, p := range pushers {
		push := p.app.BeginPush()
		all.Go(func() { p.result = push.Wait() })
	}
	all.Wait()

	served := map[string]string{} // status by commit
	for _, r := range town.JSON[[]release](t, shared(t), "releases "+app.Name) {
		served[r.Commit] = r.Status
	}
	main, told := app.RemoteMain(), 0
	for i, p := range pushers {
		status := served[p.commit]
		if p.result.Code == 0 {
			told++
			if status != "serving" {
				t.Errorf("push %d was told success, and its commit is %q", i, status)
			}
			app.Truth(p.commit, fmt.Sprintf("of%d", i))
			continue
		}
		if status != "" || main == p.commit {
			t.Errorf("push %d was told failure, and its commit is %q (main: %v)", i, status, main == p.commit)
		}
		line := p.result.Stderr
		if !strings.Contains(line, "superseded by r-") && !strings.Contains(line, "while you waited") &&
			!strings.Contains(line, "fetch first") && !strings.Contains(line, "non-fast-forward") {
			t.Errorf("push %d does not say why it was refused:\n%s", i, line)
		}
	}
	if told != 1 { // all began at one commit, so only one of them can hold what serves
		t.Errorf("%d pushes were told success", told)
	}
	if main == first {
		t.Error("main has not moved")
	}
}
