package repo

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"
)

// ServeIO is what a git service of a client is joined to.
type ServeIO struct {
	Stdin          io.Reader // read by a goroutine that ends with the reader: the caller makes it end
	Stdout, Stderr io.Writer
	Env            []string // in addition to the clean one
}

// UploadPack runs git upload-pack for a client and returns its exit code. The end of ctx ends it.
func (r *Repository) UploadPack(ctx context.Context, io ServeIO) (int, error) {
	c := r.git("upload-pack", "--strict", "--timeout=600", ".")
	c.cpu = 1800
	return c.serve(ctx, io, 0)
}

// ReceivePack runs git receive-pack for a client and returns its exit code: 128 plus the signal's number
// when it was killed. When ctx ends, it has grace to end by itself, so that it can take its quarantine
// away; then it gets SIGTERM, and two seconds later SIGKILL, with all its children.
func (r *Repository) ReceivePack(ctx context.Context, io ServeIO, grace time.Duration) (int, error) {
	c := r.git("receive-pack", ".")
	c.cpu = 1800
	c.fileSize = 4*uint64(r.store.o.MaxInputBytes) + 1<<30
	return c.serve(ctx, io, grace)
}

// serve gives the program a pipe for its input instead of the reader itself, since Wait would otherwise
// wait for a client that has nothing more to say. The goroutine that fills the pipe ends with the reader.
func (c *command) serve(ctx context.Context, sio ServeIO, grace time.Duration) (int, error) {
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	c.cmd.Stdout, c.cmd.Stderr = drain{sio.Stdout}, drain{sio.Stderr}
	c.cmd.Env = append(c.cmd.Env, sio.Env...)
	ended, err := c.start()
	if err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(stdin, sio.Stdin)
		_ = stdin.Close()
	}()
	err = c.end(ctx, ended, grace)
	if err != nil {
		c.signal(syscall.SIGKILL) // whatever of its group is left has nobody to serve
	}
	return code(err)
}

// end waits for the program, gently and then less so once ctx has ended.
func (c *command) end(ctx context.Context, ended <-chan error, grace time.Duration) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	for _, step := range []struct {
		after time.Duration
		sig   syscall.Signal
	}{{grace, syscall.SIGTERM}, {2 * time.Second, syscall.SIGKILL}} {
		select {
		case err := <-ended:
			return err
		case <-time.After(step.after):
			c.signal(step.sig)
		}
	}
	return <-ended
}

func code(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	var exit interface{ Sys() any }
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
	}
	if n := exitCode(err); n >= 0 {
		return n, nil
	}
	return 1, err
}

// drain takes everything, whether or not anybody reads it: a git that is told by SIGPIPE that its client
// is gone dies where it stands and leaves its quarantine behind.
type drain struct{ w io.Writer }

func (d drain) Write(p []byte) (int, error) {
	_, _ = d.w.Write(p)
	return len(p), nil
}
