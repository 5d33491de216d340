//go:build acceptance

package stories

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// noOneOffs waits until no one-off container of an application is left, nor its service.
func noOneOffs(t *testing.T, tw *town.Town, app *town.App, what string) {
	t.Helper()
	app.Eventually(what+": no one-off container is left", 2*time.Minute, func() error {
		for _, list := range [][]string{{"ps", "-q"}, {"service", "ls", "-q"}} {
			out, err := tw.Lab.Docker(t.Context(), "n1", append(list, "--filter", "label=lain.oneoff", "--filter", "label=lain.app="+app.Name)...)
			if err != nil || out != "" {
				return fmt.Errorf("%v: %s %v", list, out, err)
			}
		}
		return nil
	})
}

// A command has a container of its own, with what the proc has, and leaves nothing.
func TestRun_ACommandInAContainerOfItsOwn(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, commit := serving(t, "oneoff")
	if r := tw.SSHAs(t, tw.Key, "config set "+app.Name+" GREETING", strings.NewReader("hello-there")); r.Code != 0 {
		t.Fatalf("config set: exit %d\n%s", r.Code, r.All())
	}
	before := tasks(t, tw, app)
	r := tw.SSHAs(t, tw.Key, "run "+app.Name+" -- sh -c 'hostname; echo $GREETING $LAIN_PROCNAME $PORT; cat; echo aside >&2; exit 5'", strings.NewReader("typed"))
	if r.Code != 5 || r.Stdout != "run\nhello-there web 8080\ntyped" || r.Stderr != "aside\n" {
		t.Errorf("exit %d\n%q\n%q", r.Code, r.Stdout, r.Stderr)
	}
	noOneOffs(t, tw, app, "after its end")
	saysAll(t, tw, []said{
		{"run " + app.Name + " --memory 48m -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'", 0, fmt.Sprint(48 << 20)},
		{"run " + app.Name + " -- cat /proc/self/status", 0, "NoNewPrivs:\t1"},
		{"run " + app.Name + " -- /no/such", 127, "cannot start /no/such"},
		{"run " + app.Name + " -p nobody -- true", 66, "has no proc nobody"},
		{"run " + app.Name + " --memory 1k -- true", 64, "at least 6 MiB"},
		{"run " + app.Name + " --json -- true", 64, "leave --json out"},
		{"run no-such-app -- true", 66, "there is no application"},
	})
	if r := app.Client(t, "", "run", "--", "sh", "-c", "echo by the client; exit 4"); r.Code != 4 || r.Stdout != "by the client\n" {
		t.Errorf("lain run: exit %d\n%s", r.Code, r.All())
	}
	noOneOffs(t, tw, app, "after all of them")
	if now := tw.Verb(t, "logs "+app.Name+" -n 0"); strings.Contains(now, "hello-there") || strings.Contains(now, "by the client") {
		t.Errorf("it is in the logs of the procs:\n%s", now)
	}
	if now := tasks(t, tw, app); !maps.Equal(before, now) {
		t.Errorf("the instances were %v and are %v", before, now)
	}
	if trail := tw.Verb(t, "activity "+app.Name); !strings.Contains(trail, "run") || strings.Contains(trail, "aside") {
		t.Errorf("the trail:\n%s", trail)
	}
	app.Truth(commit, "one")
}

// A terminal in a container of one's own: its size, Ctrl-C, the exit code; a lost connection ends all of it.
func TestRun_AtATerminal(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "oneterm")
	prompt := func() *town.Terminal {
		sh := tw.AtTerminal(t, "run "+app.Name, 100, 40)
		sh.Sees("Starting a container like web of v1")
		sh.Types("stty -echo; PS1=; echo in$(echo side)\n")
		sh.Sees("inside\r\n")
		return sh
	}
	sh := prompt()
	sh.Types("echo $TERM $(stty size)\n")
	sh.Sees("vt220 40 100\r\n")
	sh.Types("sh -c 'echo waiting; exec sleep 4711'\n")
	sh.Sees("waiting\r\n")
	sh.Types("\x03")
	sh.Types("exit 3\n")
	if r := sh.Wait(); r.Code != 3 {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	noOneOffs(t, tw, app, "after exit")
	for what, leave := range map[string]func(*town.Terminal){
		"the connection is killed":       (*town.Terminal).Dies,
		"the person closes the terminal": func(sh *town.Terminal) { sh.Signal(1) },
	} {
		sh := prompt()
		sh.Types("trap '' HUP TERM INT; sh -c 'echo at work; while :; do sleep 4711; done'\n")
		sh.Sees("at work\r\n")
		leave(sh)
		noOneOffs(t, tw, app, what)
	}
}

// Neither a server that goes nor an application that is destroyed leaves a one-off container behind.
func TestRun_TheServerGoesAndTheAppGoes(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "onegone")
	app.MustPush()
	atWork := func() *town.Terminal {
		sh := tw.AtTerminal(t, "run "+app.Name+" -- sh -c 'echo at work; while :; do sleep 4711; done'", 80, 24)
		sh.Sees("at work\r\n")
		return sh
	}
	for what, end := range map[string]func() error{"killed": tw.Kill, "stopped": tw.Stop} {
		sh := atWork()
		must(t, end())
		if r := sh.Wait(); r.Code == 0 {
			t.Errorf("%s: exit 0\n%s", what, r.All())
		}
		must(t, tw.Start(t.Context()))
		noOneOffs(t, tw, app, what)
		app.Serves("one")
	}
	sh := atWork()
	tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name)
	noOneOffs(t, tw, app, "destroyed")
	if r := sh.Wait(); r.Code == 0 {
		t.Errorf("destroyed: exit 0\n%s", r.All())
	}
}
