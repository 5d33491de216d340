//go:build acceptance

package stories

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// Oneshot procs of the stories, as lines of lain.yaml: one that ends, one that fails, one that goes on for ever.
const (
	migrates = `oneshot.migrate: {cmd: [/bin/sh, -c, 'echo migrating for $LAIN_RELEASE in $LAIN_PROCNAME-$LAIN_INSTANCE_NO']}`
	fails    = `oneshot.migrate: {cmd: [/bin/sh, -c, 'echo no such table; exit 3']}`
	hangs    = `oneshot.migrate: {cmd: [/bin/testapp, -worker]}`
)

// stopsWithin is the time that a person may have to wait for a oneshot to be stopped, on a busy machine.
const stopsWithin = 20 * time.Second

// startsOf counts the containers of oneshots of an application that are started from now on, for as long as this
// engine runs. The engine remembers its last 256 events only, of which health checks make several a second, so it
// is listened to while they come.
func startsOf(t *testing.T, tw *town.Town, app *town.App) func() int {
	t.Helper()
	since := strconv.FormatInt(time.Now().Unix(), 10)
	events := town.Begin(t, exec.Command("docker", "-H", tw.Lab.DockerHost("n1"), "events", "--since", since, "--filter", "type=container",
		"--filter", "event=start", "--filter", "label=lain.oneshot=true", "--filter", "label=lain.app="+app.Name, "--format", "start {{.ID}}"))
	return func() int { return strings.Count(events.Output(), "start ") }
}

// started waits until so many were started, and fails the test when it were more.
func started(t *testing.T, starts func() int, want int) {
	t.Helper()
	if err := town.Until(t.Context(), time.Minute, func() error {
		if n := starts(); n < want {
			return fmt.Errorf("%d oneshots were started, want %d", n, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n := starts(); n > want {
		t.Errorf("%d oneshots were started, want %d", n, want)
	}
}

// noOneshot waits until no container of a oneshot of the application is left.
func noOneshot(t *testing.T, tw *town.Town, app *town.App, within time.Duration) {
	t.Helper()
	app.Eventually("the oneshot's container is gone", within, func() error {
		out, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-aq", "--filter", "label=lain.oneshot=true", "--filter", "label=lain.app="+app.Name)
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("there is %s", out)
		}
		return err
	})
}

func TestOneshot_RunsAndThenTheReleaseServes(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "migrated")
	app.Manifest("", migrates, `oneshot.seed: {cmd: [/bin/sh, -c, 'echo seeding; echo to stderr >&2']}`)
	commit := app.Commit("with oneshots")
	starts := startsOf(t, tw, app)
	r := app.MustPush()
	inOrder(t, r.Stderr, "Running migrate and seed", "oneshot migrate: migrating for v1 in migrate-1", "migrate is done", "oneshot seed: ", "seed is done", "Rolling out v1", "v1 serves")
	for _, want := range []string{"oneshot seed: seeding", "oneshot seed: to stderr"} {
		if strings.Count(r.Stderr, want) != 1 {
			t.Errorf("not once: %q", want)
		}
	}
	app.Truth(commit, "one")
	noOneshot(t, tw, app, stopsWithin)
	out := tw.Verb(t, "ps "+app.Name)
	if strings.Contains(out, "migrate.1") || !strings.Contains(out, "ended") || !strings.Contains(out, "web.1") {
		t.Errorf("ps says:\n%s", out)
	}
	app.Commit("the same files again") // a release of its own
	if r := app.MustPush(); !strings.Contains(r.Stderr, "Already built by r-1") || !strings.Contains(r.Stderr, "migrating for v2") {
		t.Errorf("the same files again:\n%s", r.Stderr)
	}
	started(t, starts, 4)
	app.Manifest("")
	app.Change("three")
	app.MustPush()
	if out := tw.Verb(t, "ps "+app.Name); strings.Contains(out, "migrate") {
		t.Errorf("ps of a release without them says:\n%s", out)
	}
}

func TestOneshot_Fails(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, good := serving(t, "unmigrated")
	for _, c := range []struct {
		name, line, reason string
		causes             []string
	}{
		{"exit code", fails, "migrate ended with exit code 3, v1 still serves", []string{"oneshot migrate: no such table", "exit code 3"}},
		{"memory", `oneshot.migrate: {cmd: [/bin/testapp, -oom], memory: 16m}`, "migrate used more than its 16MiB of memory and was killed, v1 still serves",
			[]string{"eating memory as told", "out of memory at 16 MiB", "memory: 16MiB is the limit; raise it"}},
		{"no command", `oneshot.migrate: {cmd: [/bin/nothing]}`, "migrate ended with exit code 127, v1 still serves", []string{"cmd: the command was not found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := containers(t, tw, app)
			app.Manifest("", c.line)
			app.Change("bad " + c.name)
			r := app.Push()
			r.Refused(t, c.reason, append(c.causes, "What migrate did is not undone.")...)
			if strings.Contains(r.Stderr, "Rolling out") || strings.Contains(r.Stderr, "Returning") {
				t.Errorf("something moved:\n%s", r.Stderr)
			}
			app.Truth(good, "one")
			noOneshot(t, tw, app, stopsWithin)
			if now := containers(t, tw, app); now != before {
				t.Errorf("the containers were %q and are %q", before, now)
			}
			if out := tw.Verb(t, "ps "+app.Name); !strings.Contains(out, "migrate") || !strings.Contains(out, "failed") {
				t.Errorf("ps says:\n%s", out)
			}
		})
	}
	app.Manifest("", migrates)
	commit := app.Change("right")
	app.MustPush()
	app.Truth(commit, "right")
}

func TestOneshot_FailsInAFirstPush(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "neverborn")
	app.Manifest("", fails)
	app.Commit("bad")
	app.Push().Refused(t, "migrate ended with exit code 3, nothing serves yet")
	if got := app.RemoteMain(); got != "" {
		t.Errorf("main names %s", got)
	}
	noOneshot(t, tw, app, stopsWithin)
	tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name)
	app.MustPush("-o", "skip-oneshot", "lain", "main")
}

func TestOneshot_CtrlCStopsIt(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, good := serving(t, "hanging")
	app.Manifest("", hangs)
	app.Change("two")
	push := app.BeginPush()
	push.Sees("oneshot migrate: tick 1 of")
	if out := tw.Verb(t, "ps "+app.Name); !strings.Contains(out, "migrate.1") {
		t.Errorf("ps says:\n%s", out)
	}
	push.CtrlC()
	noOneshot(t, tw, app, stopsWithin)
	if r := push.Wait(); r.Code == 0 {
		t.Errorf("git push ended with 0 after Ctrl-C:\n%s", r.All())
	}
	if r := ends(t, tw, app, 2); r.State != "cancelled" || !strings.Contains(r.Reason, "the pusher went away; migrate was stopped, v1 still serves") {
		t.Errorf("the run is recorded as %s: %s", r.State, r.Reason)
	}
	inOrder(t, tw.SSH(t, "runs attach "+app.Name+" r-2").Stdout, "Stopping migrate", "ends", "What migrate did is not undone.") // it had its SIGTERM
	app.Truth(good, "one")

	app.Change("three")
	push = app.BeginPush()
	push.Sees("oneshot migrate: tick 1 of")
	if out := tw.Verb(t, "runs cancel "+app.Name); !strings.Contains(out, "r-3 is cancelled") {
		t.Errorf("runs cancel says %q", out)
	}
	push.Wait().Refused(t, "cancelled by admin; migrate was stopped, v1 still serves", "What migrate did is not undone.")
	running, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-q", "--filter", "label=lain.oneshot=true", "--filter", "label=lain.app="+app.Name)
	if err != nil || strings.TrimSpace(running) != "" {
		t.Errorf("a run that has ended left %q running: %v", running, err)
	}
	app.Truth(good, "one")
	r := app.MustPush("-o", "skip-oneshot", "lain", "main")
	if !strings.Contains(r.Stderr, "Leaving out migrate (-o skip-oneshot)") || strings.Contains(r.Stderr, "oneshot migrate:") {
		t.Errorf("with -o skip-oneshot:\n%s", r.Stderr)
	}
	app.Truth(app.Head(), "three")
	if got := tw.Verb(t, "runs "+app.Name+" -n 1 --json"); !strings.Contains(got, `"skip_oneshot": true`) && !strings.Contains(got, `"skip_oneshot":true`) {
		t.Errorf("the run does not record it:\n%s", got)
	}
}

// A server that dies while a oneshot runs: nobody was told success, so it is stopped at the next start, and was
// never started a second time.
func TestOneshot_KilledWithTheServer(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "orphan")
	app.MustPush()
	good := app.Head()
	app.Manifest("", hangs)
	app.Change("two")
	starts := startsOf(t, tw, app)
	push := app.BeginPush()
	push.Sees("oneshot migrate: tick 1 of")
	must(t, tw.Kill())
	if r := push.Wait(); r.Code == 0 {
		t.Errorf("the push ended with 0:\n%s", r.All())
	}
	must(t, tw.Start(t.Context()))
	must(t, app.Settled())
	r := newestRun(t, tw, app)
	if r.State != "interrupted" || !strings.Contains(r.Reason, "the server was restarted before the rollout; migrate was stopped, v1 still serves") {
		t.Errorf("the run is recorded as %s: %s", r.State, r.Reason)
	}
	noOneshot(t, tw, app, stopsWithin)
	started(t, starts, 1)
	app.Truth(good, "one")
	app.Manifest("", migrates)
	commit := app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

// A detached push has been answered: its oneshot is waited for by the next start, and its run goes on.
func TestOneshot_OfADetachedPushOutlivesTheServer(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "patient")
	app.MustPush()
	app.Manifest("", `oneshot.migrate: {cmd: [/bin/sh, -c, 'echo begins; sleep 15; echo is through']}`)
	commit := app.Change("two")
	starts := startsOf(t, tw, app)
	app.MustPush("-o", "detach", "lain", "main")
	follow := tw.BeginSSH(t, "runs attach "+app.Name+" r-2")
	follow.Sees("oneshot migrate: begins")
	must(t, tw.Kill())
	must(t, tw.Start(t.Context()))
	r := tw.SSH(t, "runs attach "+app.Name+" r-2")
	if r.Code != 0 || !strings.Contains(r.Stdout, "oneshot migrate: is through") {
		t.Errorf("runs attach: exit %d\n%s", r.Code, r.All())
	}
	started(t, starts, 1)
	app.Truth(commit, "two")
}

// An engine that dies takes the container with it: the push is refused, and the oneshot is not started again.
func TestOneshot_KilledWithTheEngine(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "engineless")
	app.MustPush()
	good := app.Head()
	app.Manifest("", hangs)
	app.Change("two")
	push := app.BeginPush()
	push.Sees("oneshot migrate: tick 1 of")
	must(t, tw.Lab.RestartEngine(t.Context(), "n1", true))
	starts := startsOf(t, tw, app)
	if r := push.Wait(); r.Code == 0 || strings.Contains(r.Stderr, "Rolling out v2") {
		t.Errorf("the push ended with %d:\n%s", r.Code, r.All())
	}
	noOneshot(t, tw, app, time.Minute)
	comesBack(t, app, good, "one")
	started(t, starts, 0)
}
