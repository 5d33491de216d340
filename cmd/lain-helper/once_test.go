package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestOnceGivesTheCodeOfTheCommand(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -SEGV $$": 128 + int(syscall.SIGSEGV)} {
		if _, problem, code := call(t, exec.Command(helper, "once", "--", "/bin/sh", "-c", script)); code != want {
			t.Errorf("%s: exit %d, want %d: %s", script, code, want, problem)
		}
	}
	if _, problem, code := call(t, exec.Command(helper, "once", "--", "/no/such")); code != 127 || !strings.Contains(problem, "cannot start /no/such") {
		t.Errorf("no such program: exit %d: %s", code, problem)
	}
}

// A command that is told to stop is told, and has not done all it was to do, whatever it says.
func TestOnceHandsSignalsOn(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		signal syscall.Signal
		code   int
		said   string
	}{
		"ends well all the same": {"trap 'echo bye; exit 0' TERM", syscall.SIGTERM, 128 + int(syscall.SIGTERM), "bye"},
		"ends badly":             {"trap 'echo bye; exit 4' TERM", syscall.SIGTERM, 4, "bye"},
		"is ended by it":         {"true", syscall.SIGTERM, 128 + int(syscall.SIGTERM), ""},
		"is told something else": {"trap 'echo news; exit 0' USR1", syscall.SIGUSR1, 0, "news"},
	} {
		cmd := exec.Command(helper, "once", "--", "/bin/sh", "-c", c.script+"; echo ready; while :; do sleep 0.05; done")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		said := ""
		if lines.Scan() {
			said = lines.Text()
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != c.code || said != c.said {
			t.Errorf("%s: exit %d, said %q", name, code, said)
		}
	}
}
