package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/helper/enter"
)

// visit is a person's command under helper enter.
type visit struct {
	t      *testing.T
	id     string
	cmd    *exec.Cmd
	stream io.WriteCloser
	*enter.Writer
	out   *bufio.Reader
	stder *bytes.Buffer
}

func visits(t *testing.T, flags []string, argv ...string) *visit {
	t.Helper()
	v := &visit{t: t, id: rand.Text(), stder: &bytes.Buffer{}}
	args := append([]string{"enter", v.id}, flags...)
	v.cmd = exec.Command(helper, append(append(args, "--"), argv...)...)
	v.cmd.Stderr = v.stder
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if v.stream, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	v.Writer, v.out = enter.NewWriter(v.stream), bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = v.cmd.Process.Kill() })
	t.Cleanup(func() { late.Stop(); _ = v.cmd.Process.Kill(); _ = v.cmd.Wait() })
	return v
}

var atTerminal = []string{"--terminal", "xterm", "97", "24"}

func (v *visit) types(text string) {
	v.t.Helper()
	if _, err := io.WriteString(v.Writer, text); err != nil {
		v.t.Fatal(err)
	}
}

// sees reads until the text has come.
func (v *visit) sees(text string) {
	v.t.Helper()
	var seen strings.Builder
	for !strings.Contains(seen.String(), text) {
		b, err := v.out.ReadByte()
		if err != nil {
			v.t.Fatalf("%q did not come: %q, then %v; %s", text, seen.String(), err, v.stder)
		}
		seen.WriteByte(b)
	}
}

// ends reads the rest, up to the mark, says that it has been heard, and returns the exit code. One that never came to its
// mark has no more to say.
func (v *visit) ends() (rest string, code int) {
	v.t.Helper()
	var all strings.Builder
	for !strings.HasSuffix(all.String(), enter.Mark(v.id)) {
		b, err := v.out.ReadByte()
		if err != nil {
			break
		}
		all.WriteByte(b)
	}
	_ = v.stream.Close()
	_ = v.cmd.Wait()
	return strings.TrimSuffix(all.String(), enter.Mark(v.id)), v.cmd.ProcessState.ExitCode()
}

// said is what it said on standard error.
func (v *visit) said() string { return strings.TrimSuffix(v.stder.String(), enter.Mark(v.id)) }

func TestEnter_GivesTheCommandsOutputAndCode(t *testing.T) {
	for script, want := range map[string]int{"exit 3": 3, "exit 0": 0, "kill -TERM $$": 143} {
		if _, code := visits(t, nil, "/bin/sh", "-c", script).ends(); code != want {
			t.Errorf("%s: exit %d, want %d", script, code, want)
		}
		if _, code := visits(t, atTerminal, "/bin/sh", "-c", script).ends(); code != want {
			t.Errorf("%s at a terminal: exit %d, want %d", script, code, want)
		}
	}
	v := visits(t, nil, "/bin/sh", "-c", "cat; echo wrong >&2")
	v.types("all of it")
	if err := v.End(); err != nil {
		t.Fatal(err)
	}
	if out, code := v.ends(); out != "all of it" || code != 0 || v.said() != "wrong\n" {
		t.Errorf("exit %d, %q, %q", code, out, v.stder)
	}
	long := visits(t, atTerminal, "/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done")
	if out, _ := long.ends(); !strings.HasPrefix(out, "line 0\r\n") || !strings.HasSuffix(out, "line 2999\r\n") || strings.Count(out, "\n") != 3000 {
		t.Errorf("%d bytes, ending in %q", len(out), out[max(0, len(out)-20):])
	}
}

func TestEnter_ATerminal(t *testing.T) {
	v := visits(t, atTerminal, "/bin/sh", "-c", `echo $TERM; stty size; test -t 0 && test -t 1 && echo "at a terminal"
		while read -r line; do echo "got $line in $(stty size)"; done; echo "at the end"; exit 5`)
	v.sees("xterm\r\n24 97\r\nat a terminal\r\n")
	if err := v.Resize(132, 50); err != nil {
		t.Fatal(err)
	}
	v.types("word\n")
	v.sees("got word in 50 132\r\n")
	v.types("\x04")
	v.sees("at the end")
	if _, code := v.ends(); code != 5 {
		t.Errorf("exit %d", code)
	}
	c := visits(t, atTerminal, "/bin/sh", "-c", "echo ready; exec sleep 1000")
	c.sees("ready")
	c.types("\x03")
	if _, code := c.ends(); code != 128+int(syscall.SIGINT) {
		t.Errorf("Ctrl-C: exit %d", code)
	}
}

// A shell is found where none is named.
func TestEnter_AShell(t *testing.T) {
	v := visits(t, nil)
	v.types("echo $((6 * 7)); exit 9\n")
	if out, code := v.ends(); out != "42\n" || code != 9 {
		t.Errorf("exit %d: %q", code, out)
	}
}

func TestEnter_ConfigWhereThereIsSome(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if out, code := visits(t, []string{"--config", file}, "/bin/sh", "-c", "echo ${MARK-none}").ends(); out != "none\n" || code != 0 {
		t.Errorf("no file: exit %d: %q", code, out)
	}
	if err := os.WriteFile(file, []byte("lain-config 1\nMARK=from the file\x00"), 0o400); err != nil {
		t.Fatal(err)
	}
	if out, code := visits(t, []string{"--config", file}, "/bin/sh", "-c", "echo $MARK").ends(); out != "from the file\n" || code != 0 {
		t.Errorf("exit %d: %q", code, out)
	}
}

// gone waits until no process of the pid is left.
func gone(t *testing.T, pid string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		if _, after, _ := strings.Cut(string(state), ") "); err != nil || strings.HasPrefix(after, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s goes on: %s", pid, state)
		}
	}
}

// pid is what a command says of itself in its first line.
func (v *visit) pid() string {
	v.t.Helper()
	line, err := v.out.ReadString('\n')
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// Who is gone leaves nothing running: not a command that ignores the end, not one that does not read what stands before
// it, and not when the helper itself is killed.
func TestEnter_ThePersonIsGone(t *testing.T) {
	stubborn := `trap "" HUP TERM INT; echo $$; while :; do sleep 0.1; done`
	for name, flags := range map[string][]string{"no terminal": nil, "a terminal": atTerminal} {
		t.Run(name, func(t *testing.T) {
			v := visits(t, flags, "/bin/sh", "-c", stubborn)
			pid := v.pid()
			_ = v.stream.Close()
			gone(t, pid)
			if _, code := v.ends(); code != 129 {
				t.Errorf("exit %d", code)
			}
		})
	}
	t.Run("it does not read", func(t *testing.T) {
		v := visits(t, nil, "/bin/sh", "-c", stubborn)
		pid := v.pid()
		go func() { _, _ = v.Write(make([]byte, 8<<20)) }()
		other := exec.Command(helper, "leave", "of nobody")
		if _, problem, code := call(t, other); code != 0 {
			t.Errorf("another id: exit %d: %s", code, problem)
		}
		if _, problem, code := call(t, exec.Command(helper, "leave", v.id)); code != 0 {
			t.Errorf("exit %d: %s", code, problem)
		}
		gone(t, pid)
	})
	t.Run("the helper is killed", func(t *testing.T) {
		v := visits(t, nil, "/bin/sh", "-c", stubborn)
		pid := v.pid()
		_ = v.cmd.Process.Kill()
		gone(t, pid)
	})
	t.Run("a job in the foreground", func(t *testing.T) {
		v := visits(t, atTerminal, "/bin/sh", "-i")
		v.types("stty -echo; PS1=\n")
		v.types("sh -c '" + strings.ReplaceAll(stubborn, `"`, `\"`) + "'\n")
		var pid string
		for pid == "" {
			if line := strings.TrimLeft(v.pid(), "# "); strings.Trim(line, "0123456789") == "" { // behind a prompt
				pid = line
			}
		}
		_ = v.stream.Close()
		gone(t, pid)
	})
}

func TestEnter_Refuses(t *testing.T) {
	for _, args := range [][]string{{}, {"id"}, {"id", "--terminal", "xterm", "wide", "24", "--", "true"}, {"id", "--config", "/x"}} {
		if _, problem, code := call(t, exec.Command(helper, append([]string{"enter"}, args...)...)); code != 64 || !strings.Contains(problem, "usage: helper enter") {
			t.Errorf("%q: exit %d: %s", args, code, problem)
		}
	}
	if out, code := visits(t, nil, "/no/such").ends(); code != 127 || out != "" {
		t.Errorf("no such program: exit %d: %s", code, out)
	}
}

func TestGetAndPut(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a file")
	text := strings.Repeat("a line\x00\n", 50_000)
	put := exec.Command(helper, "put", file)
	put.Stdin = strings.NewReader(text)
	if _, problem, code := call(t, put); code != 0 {
		t.Fatalf("exit %d: %s", code, problem)
	}
	if out, problem, code := call(t, exec.Command(helper, "get", file)); code != 0 || out != text {
		t.Errorf("exit %d: %d bytes, %s", code, len(out), problem)
	}
	if err := os.Chmod(file, 0o750); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(helper, "put", file)
	again.Stdin = strings.NewReader("short")
	if _, problem, code := call(t, again); code != 0 {
		t.Fatalf("exit %d: %s", code, problem)
	}
	st, err := os.Stat(file)
	if got, _ := os.ReadFile(file); err != nil || string(got) != "short" || st.Mode().Perm() != 0o750 {
		t.Errorf("%q, %v, %v", got, st.Mode(), err)
	}
	for _, args := range [][]string{{"get", dir}, {"get", file + ".none"}, {"put", dir}, {"put", dir + "/none/x"}, {"get", "/dev/null"}} {
		if _, problem, code := call(t, exec.Command(helper, args...)); code != 1 || !strings.Contains(problem, args[1]+": ") && !strings.Contains(problem, args[1]+" is no file") {
			t.Errorf("%q: exit %d: %s", args, code, problem)
		}
	}
}

// A copy that is told to end in the middle leaves the old file, and nothing else.
func TestPut_ToldToEnd(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := visits(t, nil, helper, "put", file)
	v.types("the beginning of the new")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if names, _ := filepath.Glob(file + ".part-*"); len(names) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it never began")
		}
	}
	_ = v.stream.Close()
	if _, code := v.ends(); code != 129 {
		t.Errorf("exit %d", code)
	}
	names, _ := filepath.Glob(dir + "/*")
	if got, err := os.ReadFile(file); string(got) != "old" || err != nil || len(names) != 1 {
		t.Errorf("%q, %v, %v", got, err, names)
	}
}
