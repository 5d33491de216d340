//go:build acceptance

package stories

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// patience is for what has no time of its own but must not hang.
const patience = 2 * time.Minute

// ends waits until a run has ended and returns it.
func ends(t testing.TB, tw *town.Town, app *town.App, number int) run {
	t.Helper()
	var last run
	err := town.Until(t.Context(), patience, func() error {
		for _, r := range town.JSON[[]run](t, tw, "runs "+app.Name) {
			if r.Number == number {
				last = r
			}
		}
		if last.Ended.IsZero() {
			return fmt.Errorf("r-%d of %s is %s (%s)", number, app.Name, last.State, last.Stage)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// held makes a commit whose build stands still.
func held(t testing.TB, app *town.App, version string) (*hold, string) {
	t.Helper()
	h := newHold(t)
	script(t, app, h.command())
	return h, app.Change(version)
}

func TestCtrlCDuringTheBuild(t *testing.T) {
	t.Parallel()
	app, good := serving(t, "ctrlcbuild")
	h, _ := held(t, app, "two")
	push := app.BeginPush()
	h.reached()
	push.CtrlC()
	h.gone(2 * time.Second) // the issue's own figure
	if r := push.Wait(); r.Code == 0 {
		t.Errorf("git push ended with 0 after Ctrl-C:\n%s", r.All())
	}
	if r := ends(t, shared(t), app, 2); r.State != "cancelled" || !strings.Contains(r.Reason, "the pusher went away") {
		t.Errorf("the run is recorded as %s: %s", r.State, r.Reason)
	}
	app.Truth(good, "one")
	app.Manifest("")
	commit := app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

func TestCtrlCDuringTheRollout(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "ctrlcroll")
	app.Manifest("-delay 5s")
	commit := app.Change("two")
	push := app.BeginPush()
	push.Sees("Rolling out v2")
	push.Sees("Ctrl-C only detaches")
	push.CtrlC()
	push.Wait()
	r := tw.SSH(t, "runs attach "+app.Name)
	if r.Code != 0 {
		t.Errorf("runs attach: exit %d", r.Code)
	}
	inOrder(t, r.Stdout, "r-2: "+commit[:7], "Rolling out v2", "Moving main", "v2 serves "+commit[:7])
	app.Truth(commit, "two")
}

func TestRunsCancel(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, good := serving(t, "cancel")
	h, _ := held(t, app, "two")
	push := app.BeginPush()
	h.reached()
	if out := tw.Verb(t, "runs cancel "+app.Name+" r-2"); !strings.Contains(out, "r-2 is cancelled") {
		t.Errorf("runs cancel says %q", out)
	}
	push.Wait().Refused(t, "cancelled by admin, v1 still serves")
	h.gone(patience)
	app.Truth(good, "one")
	if r := tw.SSH(t, "runs cancel "+app.Name+" r-2"); r.Code != 75 || !strings.Contains(r.Stderr, "has ended already (cancelled)") {
		t.Errorf("cancelling it again: exit %d\n%s", r.Code, r.All())
	}
	app.Manifest("-delay 3s")
	commit := app.Change("three")
	push = app.BeginPush()
	push.Sees("Rolling out v2")
	push.Sees("Ctrl-C only detaches")
	if r := tw.SSH(t, "runs cancel "+app.Name); r.Code != 75 || !strings.Contains(r.Stderr, "can't be cancelled any more") {
		t.Errorf("cancelling a rollout: exit %d\n%s", r.Code, r.All())
	}
	if r := push.Wait(); r.Code != 0 {
		t.Errorf("the push whose rollout could not be cancelled: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(commit, "three")
}

func TestDetachAndAttach(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, good := serving(t, "detach")
	h, commit := held(t, app, "two")
	r := app.MustPush("-o", "detach", "lain", "main")
	if !strings.Contains(r.Stderr, "main -> refs/lain/runs/r-2") || !strings.Contains(r.Stderr, "runs attach "+app.Name+" r-2") {
		t.Errorf("git does not name the run, or not how to follow it:\n%s", r.Stderr)
	}
	app.Truth(good, "one")
	h.reached()
	attached := tw.BeginSSH(t, "runs attach "+app.Name+" r-2")
	attached.Sees("holding")
	leaves := tw.BeginSSH(t, "runs attach "+app.Name+" r-2")
	leaves.Sees("holding")
	leaves.CtrlC() // whoever only looks stops nothing
	leaves.Wait()
	h.letGo()
	seen := attached.Wait()
	if seen.Code != 0 {
		t.Errorf("runs attach: exit %d", seen.Code)
	}
	inOrder(t, seen.All(), "r-2: "+commit[:7], "-----> Building", "holding", "Rolling out v2", "v2 serves "+commit[:7])
	app.Truth(commit, "two")
}

func TestADetachedPushThatFails_IsToldByAttach(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, good := serving(t, "detachfail")
	script(t, app, "echo going wrong; exit 4")
	app.Change("two")
	app.MustPush("-o", "detach", "lain", "main")
	r := tw.SSH(t, "runs attach "+app.Name+" r-2")
	if r.Code != 1 || !strings.Contains(r.Stdout, "going wrong") || !strings.Contains(r.Stderr, "r-2 failed: lain.yaml:2: build.script[0] failed with exit code 4") {
		t.Errorf("runs attach: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(good, "one")
}

func TestBuildOnly(t *testing.T) {
	t.Parallel()
	app, good := serving(t, "buildonly")
	commit := app.Change("two")
	r := app.MustPush("-o", "build-only", "lain", "main")
	for _, want := range []string{"main -> refs/lain/runs/r-2", commit[:7] + " is built", "-----> Building"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("the push does not say %q:\n%s", want, r.Stderr)
		}
	}
	app.Truth(good, "one")
	r = app.MustPush()
	if strings.Contains(r.Stderr, "-----> Building") || !strings.Contains(r.Stderr, "Already built by r-2") {
		t.Errorf("what was built is built again:\n%s", r.Stderr)
	}
	app.Truth(commit, "two")
}

// A first push may be build-only: there is an application then, and nothing serves.
func TestBuildOnly_AtFirst(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "builtfirst")
	app.MustPush("-o", "build-only", "lain", "main")
	if got := app.RemoteMain(); got != "" {
		t.Errorf("main names %s", got)
	}
	app.MustPush()
	app.Truth(app.Head(), "one")
}

// The pusher's ssh dies at the worst moments; the run goes on and main moves.
func TestTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "cut")
	for i, moment := range []string{"Rolling out v2", "Routing", "Moving main", "v5 serves"} {
		version := fmt.Sprintf("cut%d", i)
		commit := app.Change(version)
		push := app.BeginPush()
		push.Sees(moment)
		_ = syscall.Kill(-push.Cmd.Process.Pid, syscall.SIGKILL) // git and ssh; at the last moment they may be done
		if r := ends(t, tw, app, i+2); r.State != "done" {
			t.Fatalf("the run whose pusher was cut off at %q is %s: %s", moment, r.State, r.Reason)
		}
		app.Truth(commit, version)
	}
}

// inOrder checks that text holds all the words, one behind the other.
func inOrder(t testing.TB, text string, words ...string) {
	t.Helper()
	rest := text
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("%q is not there, or not behind what comes before it, in:\n%s", w, text)
			return
		}
		rest = after
	}
}
