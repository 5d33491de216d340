package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/supervise"
)

// The folders below Options.Dir: the Vault that is used, and one that is being made.
const (
	liveName   = "live"
	makingName = "making"
)

const (
	adoptLimit = 15 * time.Second
	startLimit = 60 * time.Second // a machine that is busy with builds is slow
	stopGrace  = 10 * time.Second
	maxLog     = 1 << 20 // bytes; it is set aside at the next start
)

// instance is one lain-vault on one folder, with its process, which may be dead, and its client.
type instance struct {
	*client
	options Options
	name    string
	home    string
	socket  string
	child   *supervise.Process // nil until adopted or started
}

func newInstance(o Options, name string) *instance {
	socket := filepath.Join(o.run(), map[string]string{liveName: "vault.sock", makingName: filepath.Base(o.socket())}[name])
	return &instance{client: newClient(socket), options: o, name: name, home: filepath.Join(o.Dir, name), socket: socket}
}

func (i *instance) keyFile() string     { return filepath.Join(i.home, "unseal.key") }
func (i *instance) credentials() string { return filepath.Join(i.home, "credentials.json") }
func (i *instance) settled() string     { return filepath.Join(i.home, "settled") }
func (i *instance) auditLog() string    { return filepath.Join(i.home, auditFile) }

// spec knows the process by its folder alone, so that one which was started with another socket is found, too.
func (i *instance) spec() supervise.Spec {
	return supervise.Spec{
		Name: "lain-vault", PIDFile: filepath.Join(i.options.run(), i.name+".pid"),
		LogFile: filepath.Join(i.options.Dir, "lain-vault.log"),
		Argv:    []string{i.options.Binary, "-dir", i.home, "-socket", i.socket},
		Env:     []string{},
		Match:   []string{"lain-vault", "-dir " + i.home + " -socket "},
	}
}

// up adopts or starts the process and unseals it. Its audit file may have been set aside by a server that died
// before it could say so, hence the last step.
func (i *instance) up(ctx context.Context) error {
	if err := i.run(ctx); err != nil {
		return err
	}
	if err := i.unseal(ctx); err != nil {
		return err
	}
	return i.reopenAudit()
}

// run has a process that answers. A running one is replaced if it is of another build, has another socket, is
// dying, or hangs.
func (i *instance) run(ctx context.Context) error {
	if err := i.adopt(); err != nil {
		return err
	}
	if i.alive() && i.current() && i.answers(ctx, adoptLimit) == nil {
		return nil
	}
	if err := i.stop(ctx); err != nil {
		return err
	}
	if err := i.start(); err != nil {
		return err
	}
	return i.answers(ctx, startLimit)
}

func (i *instance) alive() bool { return i.child != nil && i.child.Alive() }

// adopt takes over a running process. One that was held still by a server that died goes on.
func (i *instance) adopt() error {
	if i.alive() {
		return nil
	}
	child, found, err := supervise.Adopt(i.spec())
	if err != nil || !found {
		return err
	}
	i.child = child
	return i.resume()
}

// current reports whether the process is the program, and has the socket, that it would be started with. What
// cannot be told counts as a yes.
func (i *instance) current() bool {
	proc := fmt.Sprintf("/proc/%d/", i.child.PID())
	if args, err := os.ReadFile(proc + "cmdline"); err == nil && !strings.HasSuffix(string(args), "\x00-socket\x00"+i.socket+"\x00") {
		return false
	}
	runs, err1 := os.Stat(proc + "exe")
	wanted, err2 := os.Stat(i.options.Binary)
	return errors.Join(err1, err2) != nil || os.SameFile(runs, wanted)
}

func (i *instance) start() error {
	if _, err := os.Stat(i.options.Binary); err != nil {
		return fault.Hide(fault.Unavailable, err, "there is no lain-vault at %s: build it (make build), or use an outside Vault", i.options.Binary)
	}
	if _, err := setAside(i.spec().LogFile, maxLog, 1); err != nil {
		return fmt.Errorf("set the log aside: %w", err)
	}
	return failpoint.Around("vault.local.start", func() (err error) {
		i.child, err = supervise.Start(i.spec())
		return err
	})
}

// answers waits until the process does, or is dead.
func (i *instance) answers(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fault.New(fault.Unavailable, "lain-vault does not answer after %s", limit))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := i.status(ctx); err == nil {
			return nil
		}
		if !i.alive() {
			return fault.New(fault.Unavailable, "lain-vault ended right after its start: %s", i.lastWords())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// lastWords is the last line of the log.
func (i *instance) lastWords() string {
	data, err := tail(i.spec().LogFile, 4<<10)
	lines := strings.Split(strings.TrimSpace(data), "\n")
	if last := lines[len(lines)-1]; err == nil && last != "" {
		return last
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

// stop ends the process, also one that nobody has adopted yet.
func (i *instance) stop(ctx context.Context) error {
	if err := i.adopt(); err != nil {
		return fmt.Errorf("stop vault: %w", err)
	}
	if !i.alive() {
		return nil
	}
	return failpoint.Around("vault.local.stop", func() error {
		return errors.Join(i.resume(), i.child.Stop(ctx, stopGrace))
	})
}

// pause holds the process still and returns when the kernel has stopped it.
func (i *instance) pause(ctx context.Context) error {
	if err := i.adopt(); err != nil || !i.alive() {
		return err // what does not run writes nothing
	}
	err := failpoint.Around("vault.local.pause", func() error { return ended(i.child.Signal(syscall.SIGSTOP)) })
	if err != nil {
		return fmt.Errorf("hold vault still: %w", err)
	}
	if err := i.stopped(ctx); err != nil {
		return errors.Join(fmt.Errorf("hold vault still: %w", err), i.resume())
	}
	return nil
}

// stopped waits until every thread is, as proc_pid_stat(5) shows.
func (i *instance) stopped(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i.alive() && i.moves() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func (i *instance) moves() bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", i.child.PID()))
	for _, file := range files {
		line, err := os.ReadFile(file)
		_, fields, _ := strings.Cut(string(line[strings.LastIndexByte(string(line), ')')+1:]), " ")
		if err == nil && !strings.HasPrefix(fields, "T") {
			return true
		}
	}
	return false
}

func (i *instance) resume() error {
	if !i.alive() {
		return nil
	}
	return failpoint.Around("vault.local.resume", func() error { return ended(i.child.Signal(syscall.SIGCONT)) })
}

// ended makes nothing of a signal that came too late.
func ended(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
