package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	poll      = 10 * time.Millisecond
	killLimit = 5 * time.Second // a killed process that stays longer hangs in the kernel
)

// Stop asks the child to stop and waits; after grace, or when ctx ends, it kills the child with its
// whole process group and waits for that. It returns nil once the child is gone, however it went, and
// the pid file with it; a second call does nothing.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	sig := p.spec.StopSignal
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s (pid %d): %w", p.spec.Name, p.PID(), err)
	}
	bounded, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if !p.gone(bounded) {
		if err := p.kill(); err != nil {
			return err
		}
	}
	return p.forget()
}

// gone waits until the child is, and reports false when ctx ends first.
func (p *Process) gone(ctx context.Context) bool {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for p.Alive() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func (p *Process) kill() error {
	if pgid, err := syscall.Getpgid(p.PID()); err == nil && pgid == p.PID() && p.Alive() {
		_ = syscall.Kill(-pgid, syscall.SIGKILL) // its own children; the one below is what must work
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s (pid %d): %w", p.spec.Name, p.PID(), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	if !p.gone(ctx) {
		return fmt.Errorf("kill %s: pid %d is still there after %s", p.spec.Name, p.PID(), killLimit)
	}
	return nil
}

// forget removes the pid file, unless a newer child has written it.
func (p *Process) forget() error {
	pid, start, ok := readPIDFile(p.spec.PIDFile)
	if !ok || pid != p.PID() || start != 0 && start != p.start {
		return nil
	}
	if err := os.Remove(p.spec.PIDFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stop %s: %w", p.spec.Name, err)
	}
	return nil
}
