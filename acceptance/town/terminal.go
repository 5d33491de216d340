package town

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// Terminal is a command at a terminal of this machine. Its output is all that is shown there.
type Terminal struct {
	*Running
	keys *os.File
}

// AtTerminal gives a verb as the admin, from a terminal.
func (tw *Town) AtTerminal(t testing.TB, words string, columns, rows int) *Terminal {
	t.Helper()
	cmd := exec.Command("ssh", append(tw.SSHOptions(tw.Key), "-t", "lain@"+tw.IP(), "--", words)...)
	cmd.Env = append(os.Environ(), "TERM=vt220")
	keys, inside, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	r := &Terminal{Running: &Running{Cmd: cmd, done: make(chan struct{}), t: t}, keys: keys}
	r.Resize(columns, rows)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, inside, inside
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = inside.Close()
	shown := make(chan struct{})
	go func() { _, _ = io.Copy(r.Running, keys); close(shown) }()
	go func() { _ = cmd.Wait(); <-shown; close(r.done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-r.done; _ = keys.Close() })
	return r
}

// Types types.
func (r *Terminal) Types(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.keys, text); err != nil {
		r.t.Fatal(err)
	}
}

// Resize changes the terminal's size; ssh is told.
func (r *Terminal) Resize(columns, rows int) {
	r.t.Helper()
	if err := pty.Setsize(r.keys, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		r.t.Fatal(err)
	}
}

// Dies ends the person's side at once, as a machine that loses its power.
func (r *Terminal) Dies() { _ = r.Cmd.Process.Kill() }
