// Package supervise keeps children that outlive us: a new nginx is started in a session of its own, and
// found again by the next process that asks for it.
//
// A child is known by a pid file that holds its pid and the time it started, and by words that must be on
// its command line; so a pid that now belongs to something else is not taken for it. Where there is no
// such file (we died between starting the child and writing it), the processes of this machine are looked
// through for the command line. Signals go through a pidfd, so they cannot hit a later owner of the pid.
//
// Supervise does not watch and does not restart: whoever owns the child asks Alive and decides. It is for
// Linux only. Under systemd the unit needs KillMode=process, or the child dies with the unit.
package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spec describes a child.
type Spec struct {
	Name       string         // for errors
	PIDFile    string         // its folder must exist; a file in which the child writes its bare pid will do as well
	LogFile    string         // appended to with standard output and error; made with mode 0640
	Argv       []string       // the program, absolute or found in PATH, and its arguments
	Env        []string       // all of its environment, as K=V
	Match      []string       // each must occur in its command line, as it is or with spaces between arguments; at least one
	StopSignal syscall.Signal // asks it to stop; 0: SIGTERM
}

func (s Spec) check() error {
	if len(s.Argv) == 0 || len(s.Match) == 0 || s.PIDFile == "" {
		return fmt.Errorf("supervise %s: it needs a program, a pid file and words to know it by", s.Name)
	}
	return nil
}

// Process is a child that was started or adopted. It is safe for use by many goroutines.
type Process struct {
	spec   Spec
	handle *os.Process // holds a pidfd
	pid    int
	start  uint64        // of the process, in clock ticks since boot
	reaped chan struct{} // closed when our own child has been waited for; nil: somebody else's child
}

// Adopt finds the running child of an earlier process, or of this one. It reports false when there is
// none, and an error only when that cannot be told.
func Adopt(s Spec) (*Process, bool, error) {
	if err := s.check(); err != nil {
		return nil, false, err
	}
	found, err := s.remembered()
	if err != nil {
		return nil, false, fmt.Errorf("adopt %s: %w", s.Name, err)
	}
	if found == nil {
		if found, err = s.search(); err != nil {
			return nil, false, fmt.Errorf("adopt %s: %w", s.Name, err)
		}
	}
	if found == nil {
		return nil, false, nil
	}
	if err := found.remember(); err != nil {
		return nil, false, fmt.Errorf("adopt %s: %w", s.Name, err)
	}
	return found, true, nil
}

// Start runs the child and returns once its program has been executed and its pid file written. It does
// not look whether one runs already: Adopt first.
func Start(s Spec) (*Process, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	cmd, err := s.launch()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{spec: s, handle: cmd.Process, pid: cmd.Process.Pid}
	if now, err := look(p.PID()); err == nil { // else it is gone already: Alive will tell
		p.start = now.start
	}
	p.reap()
	if err := p.remember(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", s.Name, err), p.kill())
	}
	return p, nil
}

// launch executes the program in a new session, with nothing of ours but the log file.
func (s Spec) launch() (*exec.Cmd, error) {
	log, err := os.OpenFile(s.LogFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, err := exec.LookPath(s.Argv[0])
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: program, Args: s.Argv, Env: append([]string{}, s.Env...), Dir: "/",
		Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	return cmd, cmd.Start()
}

// reap waits for our own child in the background, so that it leaves no zombie. The goroutine lives as
// long as the child does.
func (p *Process) reap() {
	p.reaped = make(chan struct{})
	go func() {
		defer close(p.reaped)
		_, _ = p.handle.Wait() // how it ended is in its log; an error means that it was waited for elsewhere
	}()
}

// PID is the child's, also when it is dead.
func (p *Process) PID() int { return p.pid }

// Alive reports whether the child still runs. A zombie does not.
func (p *Process) Alive() bool {
	if p.reaped != nil {
		select {
		case <-p.reaped:
			return false
		default:
		}
	}
	now, err := look(p.PID())
	return err == nil && !now.dead() && now.start == p.start
}

// Signal sends sig to the child alone, or returns os.ErrProcessDone.
func (p *Process) Signal(sig os.Signal) error { return p.handle.Signal(sig) }

// remember writes the pid file, whole.
func (p *Process) remember() error {
	f, err := os.CreateTemp(filepath.Dir(p.spec.PIDFile), "."+filepath.Base(p.spec.PIDFile)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d %d\n", p.PID(), p.start)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), p.spec.PIDFile)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
