//go:build acceptance

package stories

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// atAPrompt is a shell in an instance that shows nothing but what is asked of it.
func atAPrompt(t *testing.T, tw *town.Town, app *town.App) *town.Terminal {
	t.Helper()
	sh := tw.AtTerminal(t, "enter "+app.Name+" web.1", 100, 40)
	sh.Types("stty -echo; PS1=; echo in$(echo side)\n")
	sh.Sees("inside\r\n")
	return sh
}

// commands are what runs in the only container of an application: its arguments, a line each.
func commands(t *testing.T, tw *town.Town, app *town.App) string {
	t.Helper()
	id, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-q", "--filter", "label=lain.app="+app.Name)
	must(t, err)
	out, err := tw.Lab.Docker(t.Context(), "n1", "top", strings.TrimSpace(id), "-eo", "pid,args")
	must(t, err)
	return out
}

// A shell is as at a terminal: its size and its changes, Ctrl-C, the environment, the exit code.
func TestEnter_IsAsAtATerminal(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "entered")
	put := tw.SSHAs(t, tw.Key, "config set "+app.Name+" GREETING", strings.NewReader("hello-there"))
	if put.Code != 0 {
		t.Fatalf("config set: exit %d\n%s", put.Code, put.All())
	}
	sh := atAPrompt(t, tw, app)
	sh.Types("echo $TERM $(stty size) $LAIN_PROCNAME $GREETING $PORT\n")
	sh.Sees("vt220 40 100 web hello-there 8080\r\n")
	sh.Resize(132, 50)
	app.Eventually("the size is that of the terminal", time.Minute, func() error {
		sh.Types("echo $(stty size)\n")
		if !strings.Contains(sh.Output(), "50 132\r\n") {
			return fmt.Errorf("it shows %q", sh.Output())
		}
		return nil
	})
	sh.Types("sh -c 'echo waiting; exec sleep 4711'\n")
	sh.Sees("waiting\r\n")
	sh.Types("\x03")
	sh.Types("echo the code is $?\n")
	sh.Sees("the code is 130\r\n")
	sh.Types("exit 3\n")
	if r := sh.Wait(); r.Code != 3 {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	trail := tw.Verb(t, "activity "+app.Name)
	if !strings.Contains(trail, "enter") || !strings.Contains(trail, "web.1") || strings.Contains(trail, "4711") {
		t.Errorf("the trail:\n%s", trail)
	}
}

// What a person leaves by losing the connection does not go on, however much it wants to.
func TestEnter_AKilledConnectionEndsTheCommand(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, commit := serving(t, "left")
	endsWith := func(what string, leave func(*town.Terminal)) {
		t.Helper()
		sh := atAPrompt(t, tw, app)
		sh.Types("trap '' HUP TERM INT; sh -c 'echo at work; while :; do sleep 4711; done'\n")
		sh.Sees("at work\r\n")
		if now := commands(t, tw, app); !strings.Contains(now, "at work") {
			t.Fatalf("%s: it does not run:\n%s", what, now)
		}
		leave(sh)
		app.Eventually(what+": nothing of it is left", time.Minute, func() error {
			if now := commands(t, tw, app); strings.Contains(now, "at work") || strings.Contains(now, "helper enter") {
				return fmt.Errorf("it goes on:\n%s", now)
			}
			return nil
		})
	}
	endsWith("the connection is killed", (*town.Terminal).Dies)
	endsWith("the person closes the terminal", func(sh *town.Terminal) { sh.Signal(1) })
	app.Truth(commit, "one")
}

// A server that is killed, or stops, leaves no shell behind either; the instance goes on.
func TestEnter_TheServerGoes(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "deserted")
	app.MustPush()
	for what, end := range map[string]func() error{"killed": tw.Kill, "stopped": tw.Stop} {
		sh := atAPrompt(t, tw, app)
		sh.Types("trap '' HUP TERM INT; sh -c 'echo at work; while :; do sleep 4711; done'\n")
		sh.Sees("at work\r\n")
		must(t, end())
		app.Eventually(what+": nothing of it is left", time.Minute, func() error {
			if now := commands(t, tw, app); strings.Contains(now, "at work") {
				return fmt.Errorf("it goes on:\n%s", now)
			}
			return nil
		})
		if r := sh.Wait(); r.Code == 0 {
			t.Errorf("%s: exit 0\n%s", what, r.All())
		}
		must(t, tw.Start(t.Context()))
		app.Serves("one")
	}
}

// said is how a verb ends, and what it says.
type said struct {
	words string
	code  int
	says  string
}

func saysAll(t *testing.T, tw *town.Town, all []said) {
	t.Helper()
	for _, a := range all {
		if r := tw.SSH(t, a.words); r.Code != a.code || !strings.Contains(r.All(), a.says) {
			t.Errorf("%s: exit %d\n%s", a.words, r.Code, r.All())
		}
	}
}

// Without a terminal a command has the three streams and gives its exit code.
func TestEnter_ACommand(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "commanded")
	data := make([]byte, 8<<20)
	_, _ = rand.Read(data)
	if r := tw.SSHAs(t, tw.Key, "enter "+app.Name+" web.1 -- sh -c 'cat; echo aside >&2; exit 5'", bytes.NewReader(data)); r.Code != 5 || r.Stdout != string(data) || r.Stderr != "aside\n" {
		t.Errorf("exit %d, %d bytes, %q", r.Code, len(r.Stdout), r.Stderr)
	}
	saysAll(t, tw, []said{
		{"enter " + app.Name + " web.1 -- /no/such", 127, "cannot start /no/such"},
		{"enter " + app.Name + " web.9 -- true", 66, "has no instance web.9"},
		{"enter " + app.Name + " web", 64, "say it as ps does"},
		{"enter " + app.Name, 64, "enter takes APP INSTANCE"},
		{"enter " + app.Name + " web.1 --json -- true", 64, "leave --json out"},
		{"enter no-such-app web.1", 66, "there is no application"},
		{"enter " + app.Name + " web.1 -- id -u", 0, "0\n"},
		{"enter " + app.Name + " web.1 -- cat /proc/self/status", 0, "NoNewPrivs:\t1"},
	})
	if r := app.Client(t, "", "enter", "web.1", "--", "sh", "-c", "echo by the client; exit 4"); r.Code != 4 || r.Stdout != "by the client\n" {
		t.Errorf("lain enter: exit %d\n%s", r.Code, r.All())
	}
}

func TestCp(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "copied")
	data := make([]byte, 5<<20)
	_, _ = rand.Read(data)
	if r := tw.SSHAs(t, tw.Key, "cp "+app.Name+" - web.1:/tmp/copied", bytes.NewReader(data)); r.Code != 0 {
		t.Fatalf("exit %d\n%s", r.Code, r.All())
	}
	if r := tw.SSH(t, "cp "+app.Name+" web.1:/tmp/copied -"); r.Code != 0 || r.Stdout != string(data) {
		t.Errorf("exit %d, %d bytes, %s", r.Code, len(r.Stdout), r.Stderr)
	}
	saysAll(t, tw, []said{
		{"cp " + app.Name + " web.1:/tmp -", 1, "/tmp is no file"},
		{"cp " + app.Name + " web.1:/tmp/none -", 1, "/tmp/none: no such file"},
		{"cp " + app.Name + " - web.1:/tmp", 1, "/tmp: it is no file"},
		{"cp " + app.Name + " web.1:tmp -", 64, "say INSTANCE:/PATH"},
		{"cp " + app.Name + " web.1:/a web.1:/b", 64, "one side is INSTANCE:/PATH, the other -"},
		{"cp " + app.Name + " web.7:/a -", 66, "has no instance web.7"},
	})
	app.Write("out/of/git", "by the client\n")
	if r := app.Client(t, "", "cp", "out/of/git", "web.1:/tmp/"); r.Code != 0 {
		t.Errorf("lain cp in: exit %d\n%s", r.Code, r.All())
	}
	r := app.Client(t, "", "cp", "web.1:/tmp/git", "back")
	if back, err := os.ReadFile(filepath.Join(app.Dir, "back")); r.Code != 0 || err != nil || string(back) != "by the client\n" {
		t.Errorf("lain cp out: exit %d\n%s%q, %v", r.Code, r.All(), back, err)
	}
	// A copy whose connection is killed leaves what was there, and nothing else.
	cmd := exec.Command("ssh", append(tw.SSHOptions(tw.Key), "lain@"+tw.IP(), "--", "cp "+app.Name+" - web.1:/tmp/copied")...)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	half := town.Begin(t, cmd)
	_, err = stdin.Write(data[:1<<20])
	must(t, err)
	parts := func() string { return tw.SSH(t, "enter "+app.Name+" web.1 -- sh -c 'ls /tmp | grep copied'").Stdout }
	app.Eventually("it has begun", time.Minute, func() error {
		if !strings.Contains(parts(), "copied.part-") {
			return fmt.Errorf("there is %q", parts())
		}
		return nil
	})
	half.Signal(9)
	app.Eventually("nothing of it is left", time.Minute, func() error {
		if now := parts(); now != "copied\n" {
			return fmt.Errorf("there is %q", now)
		}
		return nil
	})
	if r := tw.SSH(t, "cp "+app.Name+" web.1:/tmp/copied -"); r.Stdout != string(data) {
		t.Errorf("the old file has %d bytes now", len(r.Stdout))
	}
}
