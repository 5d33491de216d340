package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helper is the path of the program as it is shipped, built once.
var helper string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "as-application" {
		application()
		return
	}
	os.Exit(withHelper(m))
}

func withHelper(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lain-helper")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	helper = filepath.Join(dir, "helper")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", helper, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// application is what the tests start through the helper: this test program, without the tests.
func application() {
	status, _ := os.ReadFile("/proc/self/status")
	wd, _ := os.Getwd()
	fmt.Printf("%s\npid %d\nwd %s\nargs %q\nenv %q\n", status, os.Getpid(), wd, os.Args[2:], os.Getenv("MARK"))
	os.Exit(42)
}

func call(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problem.String(), cmd.ProcessState.ExitCode()
}

func TestRunBecomesTheApplication(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Which signals are ignored is as the test's own parent left it.
	ignored, _, _ := call(t, exec.Command("grep", "SigIgn", "/proc/self/status"))
	for range 20 { // the promise belongs to a thread: it must hold whichever one the process began with
		cmd := exec.Command(helper, "run", "--", self, "as-application", "a b", "--", "")
		cmd.Dir, cmd.Env = "/", []string{"MARK=kept"}
		out, problem, code := call(t, cmd)
		if code != 42 || problem != "" {
			t.Fatalf("exit %d, stderr %q", code, problem)
		}
		for _, want := range []string{"NoNewPrivs:\t1\n", "SigBlk:\t0000000000000000\n", ignored, "\nwd /\n",
			`args ["a b" "--" ""]`, `env "kept"`, fmt.Sprintf("\npid %d\n", cmd.Process.Pid)} {
			if !strings.Contains(out, want) {
				t.Fatalf("%q is not in:\n%s", want, out)
			}
		}
	}
}

func TestRunKeepsLimits(t *testing.T) {
	want, _, _ := call(t, exec.Command("sh", "-c", "ulimit -Sn 99; ulimit -Sn"))
	got, _, _ := call(t, exec.Command("sh", "-c", `ulimit -Sn 99; exec "$0" run -- sh -c "ulimit -Sn"`, helper))
	if got != want {
		t.Errorf("the application may open %q files, not %q", got, want)
	}
}

func TestRunRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", "text", 0o644)
	garbage := write("garbage", "text", 0o755)
	orphan := write("orphan", "#!/no/such/interpreter\n", 0o755)
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"no such name":       {[]string{"--", "nosuch"}, 127, "cannot start nosuch: there is no such program"},
		"no such file":       {[]string{"--", "/no/such"}, 127, "no such program"},
		"not a folder":       {[]string{"--", plain + "/x"}, 127, "no such program"},
		"not executable":     {[]string{"--", plain}, 126, "not an executable file"},
		"in PATH, no x bit":  {[]string{"--", "plain"}, 126, "not an executable file"},
		"a folder":           {[]string{"--", dir}, 126, "not an executable file"},
		"no program":         {[]string{"--", garbage}, 126, "no program for this machine"},
		"interpreter absent": {[]string{"--", orphan}, 127, "the program that runs it"},
		"no command":         {[]string{"--"}, 64, "no command"},
		"no dashes":          {[]string{"true"}, 64, "usage"},
		"empty command":      {[]string{"--", ""}, 64, "no command"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(helper, append([]string{"run"}, c.args...)...)
			cmd.Env = []string{"PATH=" + dir + ":/nowhere"}
			out, problem, code := call(t, cmd)
			if code != c.code || out != "" || !strings.Contains(problem, c.stderr) || strings.Count(problem, "\n") != 1 {
				t.Errorf("exit %d, stdout %q, stderr %q", code, out, problem)
			}
		})
	}
}

func TestRunWithoutPATHLooksWhereTheEngineDoes(t *testing.T) {
	cmd := exec.Command(helper, "run", "--", "true")
	cmd.Env = []string{"A=b"}
	if _, problem, code := call(t, cmd); code != 0 {
		t.Errorf("exit %d, %s", code, problem)
	}
}

func TestSignalsReachTheApplication(t *testing.T) {
	cmd := exec.Command(helper, "run", "--", "sh", "-c", `trap "exit 7" TERM; echo ready; while :; do sleep 0.01; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("%s", cmd.ProcessState)
	}
}

// TestProbeRemembersInItsIPCNamespace probes twice in a namespace of its own, where no file can be written:
// the first answer comes at once, the second after the interval.
func TestProbeRemembersInItsIPCNamespace(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	const interval = 300 * time.Millisecond
	script := `"$0" probe --tcp "$1" --interval 300ms --state ""; date +%s%N; "$0" probe --tcp "$1" --interval 300ms --state ""; date +%s%N; cat /proc/sysvipc/shm`
	cmd := exec.Command("sh", "-c", script, helper, listener.Addr().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWIPC}
	began := time.Now()
	out, problem, code := call(t, cmd)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 6 { // two answers, two times, a table of one segment
		t.Fatalf("exit %d, stdout %q, stderr %q", code, out, problem)
	}
	first, second := stamp(t, lines[1]), stamp(t, lines[3])
	if slept := second.Sub(first); slept < interval {
		t.Errorf("after the first success it slept %s, not %s (first answer after %s)", slept, interval, first.Sub(began))
	}
}

func stamp(t *testing.T, text string) time.Time {
	t.Helper()
	var nanos int64
	if _, err := fmt.Sscan(text, &nanos); err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, nanos)
}

func TestVerbs(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{{nil, 64}, {[]string{"nosuch"}, 64}, {[]string{"--help"}, 0}} {
		if _, _, code := call(t, exec.Command(helper, c.args...)); code != c.code {
			t.Errorf("%q: exit %d, want %d", c.args, code, c.code)
		}
	}
}

// TestTheHelperIsSmall keeps what makes it cheap in every container: no HTTP library, no C library.
func TestTheHelperIsSmall(t *testing.T) {
	info, err := os.Stat(helper)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > 3<<20 {
		t.Errorf("the helper has %d bytes: what did it import?", info.Size())
	}
}

// BenchmarkStart is one start of the helper together with what it starts.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		if err := exec.Command(helper, "run", "--", "/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStartWithout is the same without the helper.
func BenchmarkStartWithout(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRunAddsConfigValues: they are over the container's environment, PATH among them, and in no argument.
func TestRunAddsConfigValues(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("lain-config 1\nMARK=a\nb\x00PATH=/bin:/usr/bin\x00"), 0o444); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(helper, "run", "--config", config, "--", "sh", "-c", `printf '%s|%s|' "$MARK" "$OTHER"; tr '\0' ' ' </proc/$$/cmdline`)
	cmd.Env = []string{"MARK=old", "OTHER=kept", "PATH=/nowhere"}
	out, problem, code := call(t, cmd)
	if code != 0 || !strings.HasPrefix(out, "a\nb|kept|sh -c ") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, problem)
	}
	largest := "lain-config 1\nMARK=" + strings.Repeat("x", 128<<10-len("MARK=")-1) + "\x00"
	if err := os.WriteFile(config+"2", []byte(largest), 0o444); err != nil {
		t.Fatal(err)
	}
	if out, problem, code := call(t, exec.Command(helper, "run", "--config", config+"2", "--", "sh", "-c", `echo ${#MARK}`)); out != "131066\n" {
		t.Errorf("the largest value: exit %d, stdout %q, stderr %q", code, out, problem)
	}
	for _, args := range [][]string{{"--config", dir + "/none", "--", "true"}, {"--config", "/proc/self/exe", "--", "true"}, {"--config", dir, "--", "true"}} {
		out, problem, code := call(t, exec.Command(helper, append([]string{"run"}, args...)...))
		if code != 126 || out != "" || !strings.Contains(problem, "cannot read the config values") || strings.Count(problem, "\n") != 1 {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", args, code, out, problem)
		}
	}
}
