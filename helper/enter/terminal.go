package enter

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// endOfInput is what a terminal takes for it at the beginning of a line (Ctrl-D).
const endOfInput = 4

// terminal is a pair of devices (pts(4)).
type terminal struct {
	outside, inside *os.File
	shown           chan struct{} // closed behind its last byte
	writing         atomic.Bool   // a byte is on its way out
}

func openTerminal(columns, rows uint16) (*terminal, error) {
	outside, inside, err := pty.Open()
	if err != nil {
		return nil, errors.New("cannot make a terminal in the container: " + err.Error())
	}
	t := &terminal{outside: outside, inside: inside, shown: make(chan struct{})}
	t.resize(columns, rows)
	return t, nil
}

// resize sets the size, of which the command is told by SIGWINCH. One of 0 is left as it is.
func (t *terminal) resize(columns, rows uint16) {
	if columns > 0 && rows > 0 {
		_ = pty.Setsize(t.outside, &pty.Winsize{Cols: columns, Rows: rows})
	}
}

// Write types.
func (t *terminal) Write(p []byte) (int, error) { return t.outside.Write(p) }

// Close is for io.WriteCloser: a terminal stays until its end.
func (t *terminal) Close() error { return nil }

func (t *terminal) endInput() error {
	_, err := t.outside.Write([]byte{endOfInput})
	return err
}

// show writes all that is written at the terminal, until nobody has it any more.
func (t *terminal) show(w io.Writer) {
	defer close(t.shown)
	buf := make([]byte, maxData)
	for {
		n, err := t.outside.Read(buf)
		t.writing.Store(true)
		if n > 0 {
			if _, lost := w.Write(buf[:n]); lost != nil {
				return
			}
		}
		t.writing.Store(false)
		if err != nil { // EIO: the last holder is gone
			return
		}
	}
}

// quiet is how long a terminal must have had nothing to show, when somebody still has it after its command's end.
const quiet = 300 * time.Millisecond

// drain returns when all is shown.
func (t *terminal) drain() {
	for {
		select {
		case <-t.shown:
			return
		case <-time.After(quiet):
			if !t.writing.Load() {
				return
			}
		}
	}
}

// foreground is the process group that has the terminal; 0: none is known.
func (t *terminal) foreground() int {
	conn, err := t.outside.SyscallConn()
	if err != nil {
		return 0
	}
	group := 0
	_ = conn.Control(func(fd uintptr) {
		if g, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP); err == nil {
			group = g
		}
	})
	return group
}
