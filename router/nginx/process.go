package nginx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/supervise"
)

const (
	startLimit = 5 * time.Second
	quitLimit  = 10 * time.Second // for requests that are under way when nginx is stopped
)

// ErrStart means that there is no nginx now, though there is a configuration for it.
var ErrStart = errors.New("nginx cannot be started")

func (s *Server) spec() supervise.Spec {
	return supervise.Spec{
		Name: "nginx", PIDFile: s.Files.Child, LogFile: s.Files.Output,
		Argv:       []string{s.options.Program, "-p", s.options.Dir, "-e", s.Files.ErrorLog, "-c", s.Files.Config},
		Env:        environment,
		Match:      []string{"nginx", "-e " + s.Files.ErrorLog + " -c " + s.Files.Config},
		StopSignal: syscall.SIGQUIT,
	}
}

// Alive reports whether the process that was adopted or started is still there.
func (s *Server) Alive() bool { return s.child != nil && s.child.Alive() }

// PID is the master's, or 0.
func (s *Server) PID() int {
	if !s.Alive() {
		return 0
	}
	return s.LastPID()
}

// LastPID is the pid of the process that was adopted or started last, even if it is dead by now; 0: none.
func (s *Server) LastPID() int {
	if s.child == nil {
		return 0
	}
	return s.child.PID()
}

// Age is how long ago that was.
func (s *Server) Age() time.Duration { return time.Since(s.since) }

// Adopt takes over an nginx of ours that runs already, and reports whether there is one.
func (s *Server) Adopt() (bool, error) {
	child, found, err := supervise.Adopt(s.spec())
	if err != nil {
		return false, fmt.Errorf("look for a running nginx: %w", err)
	}
	if found {
		s.child, s.since = child, time.Now()
	}
	return found, nil
}

// Start starts nginx with the configuration in place and returns when it answers. What a dead master left
// behind (workers that still hold the ports, sockets) is cleared away first. Its errors are ErrStart.
func (s *Server) Start(ctx context.Context) error {
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	return nil
}

func (s *Server) launch(ctx context.Context) error {
	if err := s.clear(ctx, syscall.SIGQUIT); err != nil {
		return err
	}
	err := failpoint.Around("router.nginx.start", func() (err error) {
		s.child, err = supervise.Start(s.spec())
		return err
	})
	if err != nil {
		return err
	}
	s.since = time.Now()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	answers := func() bool { _, err := s.Generation(ctx); return err == nil || !s.Alive() }
	if err := poll(ctx, answers); err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if !s.Alive() {
		return fault.New(fault.Unavailable, "it ended right after its start: %s", s.lastWords())
	}
	return nil
}

// Down stops nginx: no new requests, those under way have ten seconds, then it ends whatever is left. It
// returns nil when nothing ran.
func (s *Server) Down(ctx context.Context) error {
	if !s.Alive() {
		if _, err := s.Adopt(); err != nil {
			return err
		}
	}
	var err error
	if s.Alive() {
		err = failpoint.Around("router.nginx.stop", func() error { return s.child.Stop(ctx, quitLimit) })
	}
	s.child = nil
	return errors.Join(err, s.clear(ctx, syscall.SIGTERM))
}

// clear ends the workers of a master that is gone and removes sockets nobody listens on any more. With
// SIGQUIT a worker closes its listeners at once and finishes its requests, with SIGTERM it just ends.
func (s *Server) clear(ctx context.Context, sig syscall.Signal) error {
	left, err := holders(filepath.Dir(s.Files.AccessLog))
	if err != nil {
		return err
	}
	for _, w := range left {
		s.log.Warn("ending a worker that lost its master", "pid", w.pid)
		_ = syscall.Kill(w.pid, sig)
	}
	bounded, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := poll(bounded, func() bool { return allRetired(left) }); err != nil {
		return fmt.Errorf("workers of an earlier nginx still listen: %w", err)
	}
	calls, err := filepath.Glob(s.Files.Calls + "/????????????????")
	if err != nil {
		return err
	}
	for _, socket := range append(calls, s.Files.Control, s.Files.Front, s.Files.Again) {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a left socket: %w", err)
		}
	}
	return nil
}

// lastWords is the last emergency of the error log.
func (s *Server) lastWords() string {
	data, err := tail(s.Files.ErrorLog, 8<<10)
	if err != nil {
		return "its log cannot be read"
	}
	for _, m := range slices.Backward(emergency.FindAllStringSubmatch(data, -1)) {
		if m[1] != "still could not bind()" { // the line before it names the address
			return m[1]
		}
	}
	return "its log does not say why"
}

func tail(path string, n int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	data := make([]byte, min(n, info.Size()))
	_, err = f.ReadAt(data, info.Size()-int64(len(data)))
	return string(data), err
}

// poll asks until done says yes, or ctx ends.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
