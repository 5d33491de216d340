//go:build engine

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func up(t *testing.T, o Options) *Lab {
	t.Helper()
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func swarmState(t *testing.T, l *Lab, node string) string {
	t.Helper()
	out, err := l.Docker(t.Context(), node, "info", "-f", "{{.Swarm.LocalNodeState}}")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func TestLab_TwoSideBySide(t *testing.T) {
	a, b := up(t, Options{}), up(t, Options{})
	if a.Name() == b.Name() || a.IP("n1") == b.IP("n1") {
		t.Fatalf("two labs share a place: %s %s, %s %s", a.Name(), a.IP("n1"), b.Name(), b.IP("n1"))
	}
	for _, l := range []*Lab{a, b} {
		if s := swarmState(t, l, "n1"); s != "active" {
			t.Errorf("swarm of %s is %q, want active", l.Name(), s)
		}
	}
}

func TestLab_EngineHasWholeLogs(t *testing.T) {
	l := up(t, Options{Env: []string{"LAB_TEST_MARK=1"}})
	cmd := l.Exec(t.Context(), "n1", "sh", "-c", `tr '\0' '\n' </proc/$(cat /run/docker.pid)/environ`)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BUILDKIT_STEP_LOG_MAX_SIZE=2147483647", "BUILDKIT_STEP_LOG_MAX_SPEED=2147483647", "LAB_TEST_MARK=1"} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("dockerd's environment lacks %s", want)
		}
	}
}

func TestLab_NameIsHeld(t *testing.T) {
	l := up(t, Options{Name: "ltest", Net: "10.118.9"})
	if _, err := Up(t.Context(), Options{Name: "ltest", Net: "10.118.9"}); !errors.Is(err, ErrBusy) {
		t.Fatalf("second lab of the same name: %v, want ErrBusy", err)
	}
	if s := swarmState(t, l, "n1"); s != "active" {
		t.Errorf("the first lab suffered: swarm is %q", s)
	}
}

func TestLab_SignalReachesTheCommand(t *testing.T) {
	l := up(t, Options{})
	cmd := l.Exec(t.Context(), "n1", "sh", "-c", `trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	if err := Signal(cmd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	lines.Scan()
	ended := (*exec.ExitError)(nil)
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 7 || lines.Text() != "got it" {
		t.Fatalf("command said %q and ended with %v, want \"got it\" and exit code 7", lines.Text(), err)
	}
}

func TestLab_CommandEndsWithItsContext(t *testing.T) {
	l := up(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cmd := l.Exec(ctx, "n1", "sh", "-c", "echo $$; exec sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	pid, err := PID(cmd)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = cmd.Wait()
	eventually(t, "the command is gone", func() bool { return !alive(pid) })
}

func TestLab_EngineRestartLeavesTheRestRunning(t *testing.T) {
	l := up(t, Options{})
	cmd := l.Exec(t.Context(), "n1", "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, crash := range []bool{false, true} {
		if err := l.RestartEngine(t.Context(), "n1", crash); err != nil {
			t.Fatal(err)
		}
		if s := swarmState(t, l, "n1"); s != "active" {
			t.Errorf("swarm is %q after a restart (crash=%t), want active", s, crash)
		}
	}
	if err := Signal(cmd, syscall.SIGKILL); err != nil {
		t.Errorf("the other program did not survive: %v", err)
	}
	_ = cmd.Wait()
}

func TestLab_ThreeNodesLoseOneAndHealAnother(t *testing.T) {
	l := up(t, Options{Nodes: 3, Env: []string{QuickLoss}})
	ready := func(node, want string) func() bool {
		return func() bool {
			out, _ := l.Docker(t.Context(), "n1", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
			return strings.Contains(out, l.Name()+"-"+node+" "+want)
		}
	}
	for _, act := range []func(context.Context, string) error{l.Kill, l.Cut} {
		if err := act(t.Context(), "n3"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "n3 is seen as down", ready("n3", "Down"))
		if err := errors.Join(l.Start(t.Context(), "n3"), l.Heal(t.Context(), "n3")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "n3 is back", ready("n3", "Ready"))
	}
}

// A holder that dies without Down: its lock goes with it, its nodes stay, and the next run clears them.
func TestSweep_RemovesWhatADeadRunLeft(t *testing.T) {
	l, err := Up(t.Context(), Options{Name: "ldead", Net: "10.118.8"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := l.Exec(context.Background(), "n1", "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	if err := l.slot.release(); err != nil { // what the kernel does at a holder's death
		t.Fatal(err)
	}
	if _, err := Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Dir()); !os.IsNotExist(err) {
		t.Errorf("the dead run's folder is still there: %v", err)
	}
	if out, _ := exec.Command("ip", "netns", "list").Output(); strings.Contains(string(out), "ldead-") {
		t.Errorf("the dead run's namespaces are still there:\n%s", out)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

// zombie reports a process that has ended and only waits to be collected by the machine's first process.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// patience is when a test calls something stuck; it says nothing about how long things take.
const patience = 5 * time.Minute

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	begin := time.Now()
	for !cond() {
		if time.Since(begin) > patience {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%s after %s", what, time.Since(begin).Round(10*time.Millisecond))
}
