package probe

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxOutput bounds what is kept of a command's output, in bytes, from its end.
const maxOutput = 4 << 10

// askCommand runs argv in a process group of its own, which is killed when the time is over.
func askCommand(ctx context.Context, argv []string) (string, bool) {
	var out tail
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond // for a grandchild that keeps the output open
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		err = nil // the command itself has ended with 0
	}
	line := argv[0] + ": " + ended(ctx, err)
	if last := out.lastLine(); last != "" {
		line += ": " + last
	}
	return line, err == nil
}

func ended(ctx context.Context, err error) string {
	if err == nil {
		return "exit 0"
	}
	if ctx.Err() != nil {
		return "not finished in time"
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return "exit " + strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}

// tail keeps the last bytes written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxOutput; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) lastLine() string {
	text := bytes.TrimSpace(t.buf)
	return strings.TrimSpace(string(text[bytes.LastIndexByte(text, '\n')+1:]))
}
