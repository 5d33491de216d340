package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is one git program about to run.
type command struct {
	cmd      *exec.Cmd
	store    *Store
	name     string // for errors: the subcommand
	cpu      uint64 // limit, seconds
	fileSize uint64 // limit, bytes; 0: none
}

// git prepares git with args in dir.
func (s *Store) git(dir string, args ...string) *command {
	cmd := exec.Command(s.o.Git, args...)
	cmd.Dir = dir
	cmd.Env = environment(s.o)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.o.UID, Gid: s.o.GID}
	}
	cmd.WaitDelay = 5 * time.Second
	return &command{cmd: cmd, store: s, name: args[0], cpu: 300}
}

// environment is all that git sees: nothing of ours, nothing of the machine's configuration.
func environment(o Options) []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if filepath.IsAbs(o.Git) {
		path = filepath.Dir(o.Git) + ":" + path
	}
	return []string{
		"PATH=" + path, "HOME=" + o.Root, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_COMMITTER_NAME=lain", "GIT_COMMITTER_EMAIL=lain@localhost",
	}
}

// start runs the program and returns a channel that gives the result of Wait. The goroutine behind it
// keeps the thread that forked, since Linux sends the parent-death signal when that thread ends.
func (c *command) start() (<-chan error, error) {
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		if err == nil {
			c.limit()
		}
		started <- err
		if err == nil {
			ended <- c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start git %s: %w", c.name, err)
	}
	return ended, nil
}

// limit bounds the process and, through it, its children. It is best effort: a program that ended already
// cannot be limited any more.
func (c *command) limit() {
	set := func(resource int, value uint64) {
		_ = unix.Prlimit(c.cmd.Process.Pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil)
	}
	set(unix.RLIMIT_CPU, c.cpu)
	set(unix.RLIMIT_CORE, 0)
	set(unix.RLIMIT_NOFILE, 4096)
	if c.fileSize > 0 {
		set(unix.RLIMIT_FSIZE, c.fileSize)
	}
}

// signal reaches the whole process group. A group that is gone is no error.
func (c *command) signal(sig syscall.Signal) {
	_ = syscall.Kill(-c.cmd.Process.Pid, sig)
}

// wait waits for the end, and ends the group when ctx ends first: by SIGTERM, at which git takes its lock
// files away, and only then by SIGKILL.
func (c *command) wait(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	c.signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		c.signal(syscall.SIGKILL)
		<-ended
	}
	return context.Cause(ctx)
}

// output runs the program to its end and returns what it wrote, at most max bytes of it.
func (c *command) output(ctx context.Context, max int) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	out, stderr := &limited{max: max}, &limited{max: 4 << 10, drop: true}
	c.cmd.Stdout, c.cmd.Stderr = out, stderr
	ended, err := c.start()
	if err != nil {
		return nil, err
	}
	if err := c.wait(ctx, ended); err != nil {
		return nil, c.explain(err, stderr)
	}
	return out.Bytes(), nil
}

// input sets what the program reads.
func (c *command) input(s string) *command {
	c.cmd.Stdin = strings.NewReader(s)
	return c
}

func (c *command) explain(err error, stderr *limited) error {
	return &gitError{name: c.name, stderr: strings.TrimSpace(stderr.String()), err: err}
}

// gitError is a git program that did not succeed.
type gitError struct {
	name, stderr string
	err          error
}

func (e *gitError) Error() string {
	if e.stderr == "" {
		return fmt.Sprintf("git %s: %v", e.name, e.err)
	}
	return fmt.Sprintf("git %s: %v: %s", e.name, e.err, e.stderr)
}

func (e *gitError) Unwrap() error { return e.err }

// exitCode is that of a program which ended by itself, -1 for anything else.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// errTooLong ends the copying of output that is longer than asked for.
var errTooLong = errors.New("more output than expected")

// limited collects at most max bytes; the rest is dropped, or an error.
type limited struct {
	bytes.Buffer
	max  int
	drop bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.max - l.Len()
	if len(p) <= room {
		return l.Buffer.Write(p)
	}
	if !l.drop {
		return 0, errTooLong
	}
	_, _ = l.Buffer.Write(p[:max(room, 0)])
	return len(p), nil
}

func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist)
}

// stream is a running program that is read from. Close ends it.
type stream struct {
	io.Reader
	c      *command
	ended  <-chan error
	stderr *limited
	pipe   *os.File
	done   bool
	err    error
}

// stream starts the program for reading. The reader gives the program's failure in place of io.EOF; the
// end of ctx kills it.
func (c *command) stream(ctx context.Context) (*stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", c.name, err)
	}
	stderr := &limited{max: 4 << 10, drop: true}
	c.cmd.Stdout, c.cmd.Stderr = w, stderr
	ended, err := c.start()
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	s := &stream{c: c, stderr: stderr, pipe: r, ended: ended}
	s.Reader = &endingReader{s: s, stop: context.AfterFunc(ctx, func() { c.signal(syscall.SIGKILL) })}
	return s, nil
}

// endingReader turns the end of output into the program's result.
type endingReader struct {
	s    *stream
	stop func() bool
}

func (r *endingReader) Read(p []byte) (int, error) {
	n, err := r.s.pipe.Read(p)
	if err != io.EOF {
		return n, err
	}
	r.stop()
	if err := r.s.finish(); err != nil {
		return n, r.s.c.explain(err, r.s.stderr)
	}
	return n, io.EOF
}

func (s *stream) finish() error {
	if !s.done {
		s.done = true
		s.err = <-s.ended
	}
	return s.err
}

// Close kills the program if it still runs and waits for it. It may be called more than once.
func (s *stream) Close() error {
	if !s.done {
		s.c.signal(syscall.SIGKILL)
		_ = s.finish()
	}
	s.Reader.(*endingReader).stop()
	return s.pipe.Close()
}
