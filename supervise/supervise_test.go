package supervise

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is the supervised program as well: TestMain looks at LAIN_SUPERVISE_TEST first.
func TestMain(m *testing.M) {
	switch os.Getenv("LAIN_SUPERVISE_TEST") {
	case "":
		os.Exit(m.Run())
	case "obedient":
		fmt.Println("started with", len(os.Environ()), "variables")
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		fmt.Println("stopped")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		child := exec.Command("/bin/sleep", "1000")
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		fmt.Println("grandchild", child.Process.Pid)
		time.Sleep(time.Hour)
	case "parent": // starts a child and dies at once
		s := specIn(os.Args[1], "obedient")
		p, err := Start(s)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
	}
}

func specIn(dir, mode string) Spec {
	return Spec{Name: "child", PIDFile: filepath.Join(dir, "child.pid"), LogFile: filepath.Join(dir, "child.log"),
		Argv: []string{os.Args[0], dir}, Env: []string{"LAIN_SUPERVISE_TEST=" + mode}, Match: []string{os.Args[0], dir}}
}

func start(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

func adopt(t *testing.T, s Spec) *Process {
	t.Helper()
	p, found, err := Adopt(s)
	if err != nil || !found {
		t.Fatalf("adopt: found %v, %v", found, err)
	}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

func refuse(t *testing.T, s Spec) {
	t.Helper()
	if p, found, err := Adopt(s); err != nil || found {
		t.Fatalf("adopted %+v, %v; want nothing", p, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10s: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // a poll with a deadline
	}
}

func logged(s Spec, line string) func() bool {
	return func() bool {
		data, _ := os.ReadFile(s.LogFile)
		return strings.Contains(string(data), line)
	}
}

func TestStart_givesTheChildASessionAndNothingElse(t *testing.T) {
	s := specIn(t.TempDir(), "obedient")
	p := start(t, s)
	eventually(t, "its first line is in the log", logged(s, "started with 1 variables"))
	if sid, err := sessionOf(p.PID()); err != nil || sid != p.PID() {
		t.Errorf("session %d, %v; want its own, %d", sid, err, p.PID())
	}
	if !p.Alive() {
		t.Error("it is not alive")
	}
	if dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID())); dir != "/" {
		t.Errorf("it runs in %s", dir)
	}
	if err := p.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if !logged(s, "stopped")() {
		t.Error("it was not asked to stop")
	}
	if _, err := os.Stat(s.PIDFile); !os.IsNotExist(err) {
		t.Errorf("the pid file stays: %v", err)
	}
	if err := p.Stop(t.Context(), time.Second); err != nil || p.Alive() {
		t.Errorf("second stop: %v", err)
	}
}

func sessionOf(pid int) (int, error) {
	st, err := look(pid)
	return st.session, err
}

func TestAdopt_findsTheChildOfADeadParent(t *testing.T) {
	dir := t.TempDir()
	s := specIn(dir, "obedient")
	parent := exec.Command(os.Args[0], dir)
	parent.Env = []string{"LAIN_SUPERVISE_TEST=parent"}
	out, err := parent.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := adopt(t, s)
	if want := strings.TrimSpace(string(out)); strconv.Itoa(p.PID()) != want {
		t.Errorf("adopted %d, want %s", p.PID(), want)
	}
	eventually(t, "it still writes its log", logged(s, "started with"))
	if err := p.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Alive() || !logged(s, "stopped")() {
		t.Error("it lives on")
	}
	refuse(t, s)
}

func TestAdopt_findsAChildWhosePidFileWasNeverWritten(t *testing.T) {
	s := specIn(t.TempDir(), "obedient")
	p := start(t, s)
	if err := os.Remove(s.PIDFile); err != nil {
		t.Fatal(err)
	}
	again := adopt(t, s)
	if again.PID() != p.PID() {
		t.Errorf("adopted %d, want %d", again.PID(), p.PID())
	}
	if pid, _, ok := readPIDFile(s.PIDFile); !ok || pid != p.PID() {
		t.Errorf("the pid file was not written again")
	}
}

func TestAdopt_leavesAloneWhatIsNotItsChild(t *testing.T) {
	dir := t.TempDir()
	s := specIn(dir, "obedient")
	same := exec.Command(os.Args[0], dir) // our command line, but a session that is not its own
	same.Env = s.Env
	if err := same.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = same.Process.Kill(); _ = same.Wait() }()
	other := same.Process.Pid
	st, err := look(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"no pid file":               "",
		"a pid that was used again": fmt.Sprintf("%d %d\n", other, st.start-1),
		"another program's pid":     fmt.Sprintf("%d\n", os.Getppid()),
		"a dead pid":                "4194303 1\n",
		"garbage":                   "all your base\n",
		"init":                      "1\n",
		"a negative number":         "-1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(s.PIDFile, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			refuse(t, s)
		})
	}
	if err := os.WriteFile(s.PIDFile, fmt.Appendf(nil, "%d\n", other), 0o644); err != nil {
		t.Fatal(err)
	}
	if p := adopt(t, s); p.PID() != other { // the bare pid that a program writes by itself
		t.Errorf("adopted %d, want %d", p.PID(), other)
	}
}

func TestProcess_aDeadChildIsNotAliveAndLeavesNoZombie(t *testing.T) {
	s := specIn(t.TempDir(), "obedient")
	p := start(t, s)
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is dead", func() bool { return !p.Alive() })
	eventually(t, "it is reaped", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID()))
		return os.IsNotExist(err)
	})
	refuse(t, s)
	if err := p.Stop(t.Context(), time.Second); err != nil {
		t.Errorf("stop of a dead one: %v", err)
	}
}

func TestAdopt_aZombieIsNoChild(t *testing.T) {
	s := specIn(t.TempDir(), "obedient")
	cmd, err := s.launch() // and nobody waits for it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	pid := cmd.Process.Pid
	if err := os.WriteFile(s.PIDFile, fmt.Appendf(nil, "%d\n", pid), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { st, err := look(pid); return err == nil && st.state == 'Z' })
	refuse(t, s)
}

func TestStop_killsTheWholeGroupOfAChildThatWillNot(t *testing.T) {
	s := specIn(t.TempDir(), "stubborn")
	p := start(t, s)
	eventually(t, "it has a child of its own", logged(s, "grandchild "))
	began := time.Now()
	if err := p.Stop(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() || time.Since(began) < 100*time.Millisecond {
		t.Errorf("alive %v after %v", p.Alive(), time.Since(began))
	}
	pid := grandchild(t, s)
	eventually(t, "the grandchild is dead", func() bool { st, err := look(pid); return err != nil || st.dead() })
}

func grandchild(t *testing.T, s Spec) int {
	t.Helper()
	f, err := os.Open(s.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, found := strings.CutPrefix(lines.Text(), "grandchild "); found {
			pid, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("no grandchild in the log")
	return 0
}

func TestStop_doesNotWaitForGraceWhenItsContextEnds(t *testing.T) {
	s := specIn(t.TempDir(), "stubborn")
	p := start(t, s)
	eventually(t, "it ignores SIGTERM", logged(s, "grandchild "))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(ctx, time.Hour); err != nil || p.Alive() {
		t.Errorf("alive %v, %v", p.Alive(), err)
	}
}

func TestStart_refusesASpecThatCouldAdoptAnything(t *testing.T) {
	s := specIn(t.TempDir(), "obedient")
	s.Match = nil
	if _, err := Start(s); err == nil {
		t.Error("started without words to know it by")
	}
	s = specIn(t.TempDir(), "obedient")
	s.Argv = []string{"/nonexistent/program"}
	if _, err := Start(s); err == nil || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("a missing program: %v", err)
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1 2 3"
	for name, line := range map[string]string{
		"plain":              "42 (nginx)" + tail,
		"a name with tricks": "42 (a) Z 1 (b)" + tail,
	} {
		st, err := parseStat(line)
		if want := (status{state: 'S', parent: 7, session: 9, start: 12345}); err != nil || st != want {
			t.Errorf("%s: %+v, %v; want %+v", name, st, err, want)
		}
	}
	for _, line := range []string{"", "42", "42 (x) S 1", "42 (x) S a b c d e f g h i j k l m n o p q r s"} {
		if st, err := parseStat(line); err == nil {
			t.Errorf("%q gave %+v", line, st)
		}
	}
}
