//go:build acceptance

package stories

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// These stories harm the server or what it stands on, so each has a town of its own and none runs beside
// another.

func TestUpgradeUnderLoad_LosesNoRequest(t *testing.T) {
	t.Parallel()
	newer := copyOfPrograms(t)
	tw := town.New(t, town.Options{})
	app, l := underLoad(t, tw, "upgrade")
	nginx := tw.NginxPIDs(t)
	answered(t, l, 200)
	must(t, tw.Stop())
	answered(t, l, 400) // nobody is there but nginx and the application
	tw.Use(filepath.Join(newer, "laind"))
	must(t, tw.Start(t.Context()))
	answered(t, l, 400)
	must(t, tw.Kill())
	answered(t, l, 400)
	must(t, tw.Start(t.Context()))
	answered(t, l, 400)
	if now := tw.NginxPIDs(t); now != nginx {
		t.Errorf("nginx was pid %d and is pid %d", nginx, now)
	}
	if r := app.NoneLost(l); r.Sockets.Closed > 0 {
		t.Errorf("restarts of laind ended a websocket:\n%s", r)
	}
	app.Truth(app.Head(), "one")
	commit := app.Change("two")
	app.MustPush()
	app.Truth(commit, "two")
}

// copyOfPrograms is a folder with laind and what lies beside it, as a new version is put in place.
func copyOfPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"laind", "lain-helper", "lain-hook", "lain-vault"} {
		data, err := os.ReadFile(town.Bin(name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o755))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestartOfTheEngine(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "engine")
	app.MustPush()
	commit, version := app.Head(), "one"
	for _, crash := range []bool{false, true} {
		must(t, tw.Lab.RestartEngine(t.Context(), "n1", crash))
		comesBack(t, app, commit, version)
		select {
		case <-tw.Exited():
			t.Fatalf("laind ended with the engine (crash: %v)", crash)
		default:
		}
		version += "-more"
		commit = app.Change(version)
		app.MustPush()
		app.Truth(commit, version)
	}
}

// An engine that dies in the midst of a rollout ends it one way or the other, and the truth is told.
func TestRestartOfTheEngineDuringARollout(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "midway")
	app.MustPush()
	good := app.Head()
	app.Manifest("-delay 5s")
	commit := app.Change("two")
	push := app.BeginPush()
	push.Sees("Rolling out v2")
	must(t, tw.Lab.RestartEngine(t.Context(), "n1", true))
	if r := push.Wait(); r.Code == 0 {
		comesBack(t, app, commit, "two")
	} else {
		comesBack(t, app, good, "one")
	}
	app.Manifest("")
	commit = app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

// comesBack waits until the application serves again for good, and then checks the truth. An engine that starts
// may let a container of before answer for a moment, until its swarm replaces it; so many answers in a row are
// none of that.
func comesBack(t *testing.T, app *town.App, commit, version string) {
	t.Helper()
	const enough = 60
	inRow := 0
	app.Eventually(app.Name+" serves again", 3*time.Minute, func() error {
		got, err := app.Version()
		if err == nil && got != version {
			err = fmt.Errorf("it serves %s, want %s", got, version)
		}
		if inRow++; err != nil {
			inRow = 0
			return err
		}
		if inRow < enough {
			return fmt.Errorf("it has answered %d times in a row, want %d", inRow, enough)
		}
		return nil
	})
	app.Truth(commit, version)
}

func TestSIGTERMWaitsForABuild(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "drained")
	app.MustPush()
	h := newHold(t)
	script(t, app, h.command())
	commit := app.Change("two")
	push := app.BeginPush()
	h.reached()
	stopped := make(chan error, 1)
	go func() { stopped <- tw.Stop() }()
	noNewPush(t, tw)
	h.letGo()
	if r := push.Wait(); r.Code != 0 {
		t.Errorf("the push that was under way ended with %d:\n%s", r.Code, r.All())
	}
	must(t, <-stopped)
	app.Serves("two")
	must(t, tw.Start(t.Context()))
	app.Truth(commit, "two")
}

// noNewPush waits until the server takes nobody in any more, and sees that it still runs.
func noNewPush(t *testing.T, tw *town.Town) {
	t.Helper()
	must(t, town.Until(t.Context(), 3*time.Minute, func() error {
		if r := tw.SSH(t, "apps"); r.Code == 0 {
			return fmt.Errorf("a draining server takes people in:\n%s", r.All())
		}
		return nil
	}))
	select {
	case <-tw.Exited():
		t.Fatal("the server did not wait for what was under way")
	default:
	}
}

func TestSIGTERMInterruptsABuildThatTakesTooLong(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Args: []string{"--drain-timeout", "2s"}})
	app := tw.NewApp(t, "cut")
	app.MustPush()
	good := app.Head()
	h := newHold(t)
	script(t, app, h.command())
	app.Change("two")
	push := app.BeginPush()
	h.reached()
	must(t, tw.Stop())
	push.Wait().Refused(t, "the server is shutting down, nothing was changed")
	h.gone(3 * time.Minute)
	app.Serves("one")
	must(t, tw.Start(t.Context()))
	app.Truth(good, "one")
	r := newestRun(t, tw, app)
	if r.State != "interrupted" || !strings.Contains(r.Reason, "nothing was changed") {
		t.Errorf("the run is recorded as %s: %s", r.State, r.Reason)
	}
	app.Manifest("")
	commit := app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

func TestSIGTERMWaitsForARollout(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "finished")
	app.MustPush()
	app.Manifest("-delay 5s")
	commit := app.Change("two")
	push := app.BeginPush()
	push.Sees("Rolling out v2")
	must(t, tw.Stop())
	if r := push.Wait(); r.Code != 0 {
		t.Errorf("the push that was rolled out ended with %d:\n%s", r.Code, r.All())
	}
	app.Serves("two")
	must(t, tw.Start(t.Context()))
	app.Truth(commit, "two")
}

func TestSIGTERMLeavesALongRolloutToTheNextStart(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Args: []string{"--drain-timeout", "1s"}})
	app := tw.NewApp(t, "left")
	app.MustPush()
	good := app.Head()
	app.Manifest("-delay 15s")
	app.Change("two")
	push := app.BeginPush()
	push.Sees("Rolling out v2")
	must(t, tw.Stop())
	if r := push.Wait(); r.Code == 0 {
		t.Errorf("the push that was left ended with 0:\n%s", r.All())
	}
	must(t, tw.Start(t.Context()))
	must(t, app.Settled())
	app.Truth(good, "one")
	if r := newestRun(t, tw, app); r.State != "interrupted" {
		t.Errorf("the run is recorded as %s: %s", r.State, r.Reason)
	}
}

// Somebody removes by hand what the server made.
func TestWhatIsRemovedByHandComesBack(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "hand")
	app.MustPush()
	t.Run("the service", func(t *testing.T) {
		before := containers(t, tw, app)
		service, err := tw.Lab.Docker(t.Context(), "n1", "service", "ls", "-q", "--filter", "label=lain.app="+app.Name)
		must(t, err)
		_, err = tw.Lab.Docker(t.Context(), "n1", "service", "rm", strings.TrimSpace(service))
		must(t, err)
		app.Eventually("the container is another one", 3*time.Minute, func() error {
			if now := containers(t, tw, app); now == "" || strings.Contains(now, before) {
				return fmt.Errorf("containers %q, before %q", now, before)
			}
			return nil
		})
		comesBack(t, app, app.Head(), "one")
	})
	for i, which := range []string{"the edge", "nginx"} {
		t.Run(which, func(t *testing.T) {
			before := tw.NginxPIDs(t)[i]
			_, err := tw.Exec(t.Context(), "kill", "-KILL", fmt.Sprint(before))
			must(t, err)
			app.Eventually("another one runs", 3*time.Minute, func() error {
				if now := tw.NginxPIDs(t)[i]; now == before {
					return fmt.Errorf("it is still pid %d", now)
				}
				return nil
			})
			comesBack(t, app, app.Head(), "one")
		})
	}
	t.Run("the fence", func(t *testing.T) {
		before := fence(t, tw)
		_, err := tw.Exec(t.Context(), "nft", "delete", "table", "inet", "lain_lain")
		must(t, err)
		app.Eventually("the fence stands again", 3*time.Minute, func() error {
			if now := fence(t, tw); now != before || !strings.Contains(now, "chain") {
				return fmt.Errorf("it was\n%s\nand is\n%s", before, now)
			}
			return nil
		})
		comesBack(t, app, app.Head(), "one")
	})
	commit := app.Change("two")
	app.MustPush()
	app.Truth(commit, "two")
}

// containers are the ids of the application's containers that run.
func containers(t *testing.T, tw *town.Town, app *town.App) string {
	t.Helper()
	out, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-q", "--filter", "label=lain.app="+app.Name)
	must(t, err)
	return strings.TrimSpace(out)
}

// fence is the server's table of the node's packet filter, without the ports that are published now.
func fence(t *testing.T, tw *town.Town) string {
	t.Helper()
	out, err := tw.Exec(t.Context(), "nft", "-s", "list", "table", "inet", "lain_lain")
	if err != nil {
		return err.Error()
	}
	var rules []string
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "elements") {
			rules = append(rules, line)
		}
	}
	return strings.Join(rules, "")
}
