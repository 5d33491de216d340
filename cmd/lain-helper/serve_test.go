package main

import (
	"bufio"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestServeGivesTheCodeOfTheCommand(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "kill -SEGV $$": 128 + int(syscall.SIGSEGV), "kill -TERM $$": 128 + int(syscall.SIGTERM)} {
		if _, problem, code := call(t, exec.Command(helper, "serve", "5s", "--", "/bin/sh", "-c", script)); code != want {
			t.Errorf("%s: exit %d, want %d: %s", script, code, want, problem)
		}
	}
	for _, args := range [][]string{{}, {"--", "true"}, {"-1s", "--", "true"}, {"soon", "--", "true"}} {
		if _, problem, code := call(t, exec.Command(helper, append([]string{"serve"}, args...)...)); code != 64 || !strings.Contains(problem, "how long") {
			t.Errorf("%q: exit %d: %s", args, code, problem)
		}
	}
	if _, problem, code := call(t, exec.Command(helper, "serve", "5s", "--", "/no/such")); code != 127 || !strings.Contains(problem, "cannot start /no/such") {
		t.Errorf("no such program: exit %d: %s", code, problem)
	}
}

// served is a command under the helper, in an IPC namespace of its own, after probes of these addresses.
func served(t *testing.T, hold string, probes ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	script := `helper=$0; hold=$1; shift; for a; do "$helper" probe --tcp "$a" --interval 0s; done >/dev/null
		exec "$helper" serve "$hold" -- /bin/sh -c 'trap "echo hup" HUP; trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 0.01; done'`
	cmd := exec.Command("sh", append([]string{"-c", script, helper, hold}, probes...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWIPC}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	says(t, lines, "ready")
	return cmd, lines
}

func says(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if lines.Scan(); lines.Text() != want {
		t.Fatalf("it says %q, want %q", lines.Text(), want)
	}
}

// told sends signals and returns after how long the command ended by its own doing.
func told(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner, signals ...syscall.Signal) time.Duration {
	t.Helper()
	began := time.Now()
	for _, s := range signals {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if s == syscall.SIGHUP {
			says(t, lines, "hup")
		}
	}
	says(t, lines, "bye")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit %d", code)
	}
	return time.Since(began)
}

// Who gets requests is told of its end after a while, and of everything else at once. A second time counts.
func TestServeHoldsTheEndBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	open := l.Addr().String()
	const long, short = "1h", "500ms"
	cmd, lines := served(t, short, open)
	if took := told(t, cmd, lines, syscall.SIGHUP, syscall.SIGTERM); took < 500*time.Millisecond {
		t.Errorf("it was told after %s", took)
	}
	cmd, lines = served(t, long, open)
	told(t, cmd, lines, syscall.SIGQUIT, syscall.SIGTERM) // does not come back in an hour otherwise
}

// Who gets no requests, because it has never been well or is not any more, is told at once.
func TestServeHoldsNothingBackForTheUnwell(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, probes := range map[string][]string{"never asked": nil, "never well": {"127.0.0.1:1"}, "well, then not": {l.Addr().String(), "127.0.0.1:1"}} {
		t.Run(name, func(t *testing.T) {
			cmd, lines := served(t, "1h", probes...)
			told(t, cmd, lines, syscall.SIGTERM)
		})
	}
}
