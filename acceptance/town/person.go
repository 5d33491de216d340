package town

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Result is how a command ended: its exit code (-1: by a signal) and what it printed.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// All is both outputs.
func (r Result) All() string { return r.Stdout + r.Stderr }

// SSHOptions are the arguments with which people reach the server: their key, and nothing of this machine's
// own configuration.
func (tw *Town) SSHOptions(key string) []string {
	return []string{"-F", "/dev/null", "-i", key, "-p", fmt.Sprint(SSHPort), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"}
}

// SSH gives a verb as the admin and waits for its end.
func (tw *Town) SSH(t testing.TB, words string) Result {
	t.Helper()
	return tw.SSHAs(t, tw.Key, words, nil)
}

// SSHAs gives a verb with a key of one's own and standard input.
func (tw *Town) SSHAs(t testing.TB, key, words string, stdin io.Reader) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := append(tw.SSHOptions(key), "lain@"+tw.IP(), "--", words)
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.Stdin = stdin
	return run(t, cmd)
}

// Verb gives a verb that must succeed and returns what it printed.
func (tw *Town) Verb(t testing.TB, words string) string {
	t.Helper()
	r := tw.SSH(t, words)
	if r.Code != 0 {
		t.Fatalf("%s: exit %d\n%s", words, r.Code, r.All())
	}
	return r.Stdout
}

// JSON gives a verb with --json and decodes its answer.
func JSON[T any](t testing.TB, tw *Town, words string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(tw.Verb(t, words+" --json")), &v); err != nil {
		t.Fatalf("%s --json: %v", words, err)
	}
	return v
}

// longest is how long a command may take before it counts as hanging.
const longest = 5 * time.Minute

func run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := cmd.Start()
	if err == nil {
		kill := time.AfterFunc(longest, func() {
			t.Errorf("%v does not end", cmd.Args)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the ssh of a git
		})
		defer kill.Stop()
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String()}
}

// Running is a command that is under way. Its output can be looked at meanwhile.
type Running struct {
	Cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	done chan struct{}
	t    testing.TB
}

// Write takes output; it is the command's stdout and stderr.
func (r *Running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

// Output is what it printed so far.
func (r *Running) Output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// Begin starts a command in a process group of its own, as a shell with a terminal does.
func Begin(t testing.TB, cmd *exec.Cmd) *Running {
	t.Helper()
	r := &Running{Cmd: cmd, done: make(chan struct{}), t: t}
	cmd.Stdout, cmd.Stderr = r, r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(r.done) }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-r.done })
	return r
}

// Sees waits until the output holds text.
func (r *Running) Sees(text string) {
	r.t.Helper()
	err := Until(r.t.Context(), 3*time.Minute, func() error {
		if strings.Contains(r.Output(), text) {
			return nil
		}
		select {
		case <-r.done:
			if !strings.Contains(r.Output(), text) {
				return fmt.Errorf("%w: it ended without saying %q", ErrNever, text)
			}
			return nil
		default:
			return fmt.Errorf("it did not say %q", text)
		}
	})
	if err != nil {
		r.t.Fatalf("%v:\n%s", err, r.Output())
	}
}

// CtrlC interrupts the whole process group, as a terminal does.
func (r *Running) CtrlC() { r.Signal(syscall.SIGINT) }

// Signal sends a signal to the whole process group.
func (r *Running) Signal(sig syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(-r.Cmd.Process.Pid, sig); err != nil {
		r.t.Errorf("signal %v: %v", sig, err)
	}
}

// Wait waits for the end and returns it.
func (r *Running) Wait() Result {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(longest):
		r.t.Fatalf("it does not end:\n%s", r.Output())
	}
	return Result{Code: r.Cmd.ProcessState.ExitCode(), Stderr: r.Output()}
}
