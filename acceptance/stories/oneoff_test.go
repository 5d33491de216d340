//go:build acceptance

package stories

import (
	"fmt"
	"maps"
	"path/filepath"
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

// buildImages are the names of an application's build images in the engine.
func buildImages(t *testing.T, tw *town.Town, app *town.App) (names []string) {
	t.Helper()
	out, err := tw.Lab.Docker(t.Context(), "n1", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "label=lain.app="+app.Name)
	must(t, err)
	for _, name := range strings.Fields(out) {
		if strings.HasPrefix(name, app.Name+":build-") {
			names = append(names, name)
		}
	}
	return names
}

// noBuild waits until no files of an application's commits are left unpacked, nor a process of its builds with that command line.
func noBuild(t *testing.T, tw *town.Town, app *town.App, step ...string) {
	t.Helper()
	app.Eventually("no build is left", 2*time.Minute, func() error {
		files, err := filepath.Glob(filepath.Join(tw.Data(), "builds", "context-"+app.Name+"-*"))
		if steps := town.Processes(step...); err != nil || len(files)+len(steps) > 0 {
			return fmt.Errorf("%v %v %v", files, steps, err)
		}
		return nil
	})
}

// buildsMore is an application whose build leaves a file that is not released.
func buildsMore(t *testing.T, tw *town.Town, prefix string, build ...string) *town.App {
	t.Helper()
	app := tw.NewApp(t, prefix)
	app.Manifest("", `  user: "1000"`, "  secret_files: [conf/key]", "release:", "  dest_base: lain/testapp:1", "  copy: [VERSION]")
	section(t, app, "  script: [echo building]", strings.Join(build, "\n"))
	app.Commit("with more in its build than in its release")
	return app
}

// A command runs in the build of what serves, with what the proc has, and no push is held up and nothing left.
func TestRun_TheBuildImage(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := buildsMore(t, tw, "onebuild", "  script: [echo left by the build > left]")
	app.Push() // is refused, and makes the application that the secret is for
	put(t, tw, "a key", "secret put "+app.Name+" conf/key")
	app.MustPush()
	if r := tw.SSHAs(t, tw.Key, "config set "+app.Name+" GREETING", strings.NewReader("hello-there")); r.Code != 0 {
		t.Fatalf("config set: exit %d\n%s", r.Code, r.All())
	}
	before, runs := tasks(t, tw, app), tw.Verb(t, "runs "+app.Name)
	const look = " -- sh -c 'cat left; pwd; stat -c %u /proc/self; hostname; echo $GREETING $LAIN_PROCNAME $PORT; cat conf/key; cat; exit 7'"
	told := "-----> Making the build image of " + app.Head()[:7] + "\n"
	for range 2 {
		began := time.Now()
		r := tw.SSHAs(t, tw.Key, "run "+app.Name+" --image build"+look, strings.NewReader("typed"))
		t.Logf("%s", time.Since(began).Round(time.Millisecond))
		if r.Code != 7 || r.Stdout != "left by the build\n/lain/app\n0\nrun\nhello-there web 8080\na keytyped" || r.Stderr != told {
			t.Errorf("exit %d\n%q\n%q", r.Code, r.Stdout, r.Stderr)
		}
		told = "" // it is there
	}
	saysAll(t, tw, []said{
		{"run " + app.Name + " -- cat left", 1, "No such file"},
		{"run " + app.Name + " --image release -- cat left", 1, "No such file"},
		{"run " + app.Name + " --image nonsense -- true", 64, `"nonsense" is no image of a release: say release or build`},
		{"run " + app.Name + " --image build --memory 48m -- sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'", 0, fmt.Sprint(48 << 20)},
		{"run " + app.Name + " --image build -p nobody -- true", 66, "has no proc nobody"},
	})
	names := buildImages(t, tw, app)
	if len(names) != 1 {
		t.Fatalf("build images: %v", names)
	}
	noOneOffs(t, tw, app, "after all of them")
	app.Eventually("the image can be taken away", time.Minute, func() error {
		_, err := tw.Lab.Docker(t.Context(), "n1", "rmi", names[0])
		return err
	})
	sh := tw.AtTerminal(t, "run "+app.Name+" --image build", 100, 40)
	sh.Sees("Making the build image of")
	sh.Sees("build.script: nothing changed, taken from the cache")
	sh.Sees("Starting a container like web of v2")
	sh.Types("cat left; exit 3\n")
	sh.Sees("left by the build\r\n")
	if r := sh.Wait(); r.Code != 3 {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	noOneOffs(t, tw, app, "at a terminal")
	noBuild(t, tw, app)
	if now := tasks(t, tw, app); !maps.Equal(before, now) {
		t.Errorf("the instances were %v and are %v", before, now)
	}
	if now := tw.Verb(t, "runs "+app.Name); strings.Count(now, "\n") != strings.Count(runs, "\n") {
		t.Errorf("the runs were\n%s\nand are\n%s", runs, now)
	}
}

// A build that takes long is shown, holds up no push, and ends with its person, with the server, and with the application.
func TestRun_TheBuildImage_WhatEndsIt(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := buildsMore(t, tw, "onelong", "  secrets: [pace]", "  script:",
		`    - 'if grep -q slow /run/secrets/pace; then echo at "work"; sleep 47012; fi'`)
	pace := func(word string) { t.Helper(); put(t, tw, word, "secret put "+app.Name+" /run/secrets/pace") }
	app.Push() // is refused, and makes the application that the secrets are for
	put(t, tw, "a key", "secret put "+app.Name+" conf/key")
	pace("quick, or not at all")
	app.MustPush()
	building := func(n int) *town.Terminal {
		t.Helper()
		pace(fmt.Sprintf("slow as number %d", n)) // a version of its own: this build has never been
		sh := tw.AtTerminal(t, "run "+app.Name+" --image build", 100, 40)
		sh.Sees("has changed since v")
		sh.Sees("at work\r\n")
		return sh
	}
	sh := building(1)
	pace("quick again")
	app.Change("two")
	app.MustPush()
	app.Serves("two")
	sh.Types("\x03")
	if r := sh.Wait(); r.Code != 130 || !strings.Contains(r.All(), "it was stopped before the container was there") {
		t.Errorf("Ctrl-C: exit %d\n%s", r.Code, r.All())
	}
	noBuild(t, tw, app, "sleep", "47012")
	sh = building(2)
	sh.Dies()
	noBuild(t, tw, app, "sleep", "47012")
	for n, end := range []func() error{tw.Stop, tw.Kill} {
		sh = building(3 + n)
		must(t, end())
		if r := sh.Wait(); r.Code == 0 {
			t.Errorf("exit 0\n%s", r.All())
		}
		must(t, tw.Start(t.Context()))
		noBuild(t, tw, app, "sleep", "47012")
	}
	sh = building(5)
	tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name)
	noBuild(t, tw, app, "sleep", "47012")
	noOneOffs(t, tw, app, "destroyed")
	if r := sh.Wait(); r.Code != 75 || !strings.Contains(r.All(), app.Name+" is being destroyed") {
		t.Errorf("destroyed: exit %d\n%s", r.Code, r.All())
	}
	if left := buildImages(t, tw, app); len(left) > 0 {
		t.Errorf("images are left: %v", left)
	}
}
