package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"lain.internal/lain/helper/enter"
	"lain.internal/lain/lain"
)

// Entry is a command that a person wants run in a container, beside what runs there and with its user, limits and rights.
type Entry struct {
	Task     string         // of the container
	Argv     []string       // none: a shell of the image
	Terminal *lain.Terminal // nil: none
	Stdin    io.Reader      // it may be read from after Enter has returned, until its next error
	Stdout   io.Writer      // with a terminal, all there is
	Stderr   io.Writer
}

// Patience with a command whose person is gone: until its container's helper is told in another way, and until
// nothing more is waited for.
const (
	leaveAfter = 3 * time.Second
	leaveLimit = 10 * time.Second
)

// Enter runs a command in a container on this engine's own machine and returns its exit code, 128 + n for an end by
// signal n. ErrNotFound when the task has no running container here. When ctx ends, the command is told to hang up
// and then killed; Enter returns when it has ended, with the context's cause.
func (e *Engine) Enter(ctx context.Context, o Entry) (exit int, err error) {
	id, err := e.containerOf(ctx, o.Task)
	if err != nil {
		return 0, err
	}
	ticket := rand.Text()
	run, attached, err := e.exec(ctx, id, o.argv(ticket))
	if err != nil {
		return 0, err
	}
	defer attached.Close()
	return e.converse(ctx, o, id, run, ticket, attached)
}

// argv is what runs in the container.
func (o Entry) argv(ticket string) []string {
	argv := []string{lain.HelperPath, "enter", ticket}
	if t := o.Terminal; t != nil {
		argv = append(argv, "--terminal", t.Name, strconv.Itoa(t.Size.Columns), strconv.Itoa(t.Size.Rows))
	}
	return slices.Concat(argv, []string{"--config", string(lain.ConfigPath), "--"}, o.Argv)
}

// containerOf is the running container of a task of ours.
func (e *Engine) containerOf(ctx context.Context, task string) (string, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", ClusterLabel+"="+string(e.cluster)), filters.Arg("label", taskLabel+"="+task))})
	if err != nil {
		return "", explain("list containers", err)
	}
	if len(list) == 0 {
		return "", fmt.Errorf("a running container of task %s: %w", task, ErrNotFound)
	}
	return list[0].ID, nil
}

// exec begins a command with all three streams.
func (e *Engine) exec(ctx context.Context, id string, argv []string) (run string, attached types.HijackedResponse, err error) {
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", attached, explain("exec in container "+id, err)
	}
	attached, err = e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	return made.ID, attached, explain("exec in container "+id, err)
}

// converse carries the streams until the command has ended, or its person is gone and it was ended for that.
func (e *Engine) converse(ctx context.Context, o Entry, id, run, ticket string, attached types.HijackedResponse) (int, error) {
	over := make(chan struct{}) // nothing more is said to the command
	defer close(over)
	frames := enter.NewWriter(attached.Conn)
	go func() {
		if _, err := io.Copy(frames, o.Stdin); err == nil {
			_ = frames.End()
		}
	}()
	if o.Terminal != nil {
		go follow(o.Terminal, frames, over)
	}
	whole, heard := make(chan struct{}), make(chan error, 1)
	go func() { heard <- hear(o, ticket, attached.Reader, whole) }()
	var broken error
	select {
	case <-whole:
		_ = attached.CloseWrite()
	case err := <-heard:
		broken = cmp.Or(err, errBroken)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return 0, e.leave(ctx, id, run, ticket, attached)
	}
	code, err := e.exitCode(ctx, run)
	if err == nil && broken != nil && code == 0 {
		err = fmt.Errorf("output of a command in container %s: %w", id, broken)
	}
	return code, err
}

// errBroken says that the end of what a command wrote did not come.
var errBroken = errors.New("it broke off")

// hear hands the outputs on, and closes whole when both have come to their marks.
func hear(o Entry, ticket string, from io.Reader, whole chan<- struct{}) error {
	left := 2
	ended := func() {
		if left--; left == 0 {
			close(whole)
		}
	}
	_, err := stdcopy.StdCopy(newMarked(o.Stdout, ticket, ended), newMarked(o.Stderr, ticket, ended), from)
	return err
}

// follow hands new sizes on.
func follow(t *lain.Terminal, frames *enter.Writer, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case s := <-t.Resized:
			if frames.Resize(s.Columns, s.Rows) != nil {
				return
			}
		}
	}
}

// leave ends the command of a person who is gone, and returns why. What the stream's end does not reach is told once
// more.
func (e *Engine) leave(ctx context.Context, id, run, ticket string, attached types.HijackedResponse) error {
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	_ = attached.CloseWrite()
	soon, stop := context.WithTimeout(after, leaveAfter)
	defer stop()
	if _, err := e.exitCode(soon, run); err == nil {
		return context.Cause(ctx)
	}
	if err := e.tellLeave(after, id, ticket); err != nil {
		return fmt.Errorf("end a command in container %s whose person is gone: %w", id, err)
	}
	if _, err := e.exitCode(after, run); err != nil {
		return fmt.Errorf("end a command in container %s whose person is gone: %w", id, err)
	}
	return context.Cause(ctx)
}

func (e *Engine) tellLeave(ctx context.Context, id, ticket string) error {
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{lain.HelperPath, "leave", ticket}})
	if err == nil {
		err = e.api.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true})
	}
	return explain("exec in container "+id, err)
}

// exitCode waits for a command's end.
func (e *Engine) exitCode(ctx context.Context, run string) (int, error) {
	for {
		got, err := e.api.ContainerExecInspect(ctx, run)
		if err != nil {
			return 0, explain("inspect a command", err)
		}
		if !got.Running {
			return got.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
