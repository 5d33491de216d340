package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
)

// people lets every key in as alice.
type people struct{}

func (people) Person(context.Context, gossh.PublicKey) (lain.Person, error) { return "alice", nil }

// echo answers a verb with what it got, and ends with 3. config set asks first, as the real one does.
type echo struct{}

func (echo) Run(_ context.Context, s gitserver.Session, args []string) int {
	if args[0] == "config" {
		fmt.Fprintf(s.Stderr, "Value: ")
		fmt.Fprintf(s.Stdout, "%q at a terminal: %v, %d characters\n", args, s.Terminal != nil, len(typed(s.Stdin)))
		return 0
	}
	in, _ := io.ReadAll(s.Stdin)
	fmt.Fprintf(s.Stdout, "%s ran %q at a terminal: %v with %q\n", s.Person, args, s.Terminal != nil, in)
	return 3
}

// typed is what comes before Return, in whatever state the terminal is.
func typed(r io.Reader) (line []byte) {
	for b := make([]byte, 1); ; line = append(line, b...) {
		if _, err := io.ReadFull(r, b); err != nil || b[0] == '\r' || b[0] == '\n' {
			return line
		}
	}
}

// door starts the server's real front door, and gives the desk the real ssh with a key of its own.
func (d *desk) door() (port string) {
	d.t.Helper()
	root := d.t.TempDir()
	server, err := gitserver.New(gitserver.Options{HostKeyDir: filepath.Join(root, "keys"), HookDir: filepath.Join(root, "hooks"),
		HookBinary: program, HookSocket: filepath.Join(socketDir(d.t), "s")}, people{}, nil, echo{})
	if err != nil {
		d.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-ended); err != nil {
			d.t.Errorf("shutdown: %v", err)
		}
	})
	port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	d.realSSH(root, port)
	return port
}

// socketDir is short enough for a unix socket.
func socketDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "lain-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (d *desk) realSSH(dir, port string) {
	d.t.Helper()
	path, err := exec.LookPath("ssh")
	if err != nil {
		d.t.Fatal(err)
	}
	key, config := filepath.Join(dir, "key"), filepath.Join(dir, "config")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	text := fmt.Sprintf("Host lain\n  HostName 127.0.0.1\n  Port %s\n  User lain\nHost *\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
		"  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n", port, key)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.program("ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", path, config))
}

func TestTheRealDoor(t *testing.T) {
	d := newDesk(t)
	port := d.door()
	d.repository("lain", "lain:hello", "far", "ssh://lain@127.0.0.1:"+port+"/far")
	for _, remote := range []struct{ name, app string }{{"lain", "hello"}, {"far", "far"}} {
		cmd := d.command("-r", remote.name, "secret", "put", "it's a \"$HOME\" \\ größe", "", "--x")
		cmd.Stdin = strings.NewReader("a value\n")
		got := d.end(cmd)
		want := fmt.Sprintf("alice ran [\"secret\" \"put\" %q \"it's a \\\"$HOME\\\" \\\\ größe\" \"\" \"--x\"] at a terminal: false with \"a value\\n\"\n", remote.app)
		if got.code != 3 || got.out != want || got.err != "" {
			t.Errorf("%s: %d\n got %s%s\nwant %s", remote.name, got.code, got.out, got.err, want)
		}
	}
}

func TestNoDoor(t *testing.T) {
	d := newDesk(t)
	d.door()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if got := d.lain("--host", "ssh://lain@"+address, "apps"); got.code != 255 || !strings.Contains(got.err, "refused") || !strings.Contains(got.err, "ssh did not get through to ssh://lain@"+address) {
		t.Errorf("%d, %s%s", got.code, got.out, got.err)
	}
}

// A verb that asks gets a terminal, in which what is typed is not shown.
func TestAValueIsAskedForAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.door()
	d.repository("lain", "lain:hello")
	master, slave := openTerminal(t)
	cmd := d.command("config", "set", "KEY")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	screen := readUntil(t, master, "Value: ")
	if _, err := io.WriteString(master, "s3cret\r"); err != nil {
		t.Fatal(err)
	}
	screen += readUntil(t, master, "characters")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, screen)
	}
	if !strings.Contains(screen, `["config" "set" "hello" "KEY"] at a terminal: true, 6 characters`) || strings.Contains(screen, "s3cret") {
		t.Errorf("the screen shows %q", screen)
	}
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// readUntil is what a terminal shows up to a text.
func readUntil(t *testing.T, f *os.File, text string) string {
	t.Helper()
	var screen []byte
	b := make([]byte, 1)
	for !strings.Contains(string(screen), text) {
		if _, err := f.Read(b); err != nil {
			t.Fatalf("%v after %q", err, screen)
		}
		screen = append(screen, b...)
	}
	return string(screen)
}
