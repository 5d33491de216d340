package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
	"lain.internal/lain/lain/verbs"
)

// sshFailed is what ssh ends with for its own failures; no verb does.
const sshFailed = 255

// ssh has the server carry words out, with our own streams. Its error is exit for what the server answered, and where
// it was not reached, of which a person is told. With a terminal, the server may ask there.
func (c *client) ssh(host remote.Host, terminal bool, words []string) error {
	cmd := sshCommand(host, terminal, words)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	signal, err := guarded(cmd)
	return c.ended(host, signal, err)
}

// ask has the server carry words out, and returns what it prints, at most limit bytes. Its error is that of ssh.
func (c *client) ask(host remote.Host, limit int64, words ...string) ([]byte, error) {
	cmd := sshCommand(host, false, words)
	cmd.Stderr = c.err
	cmd.Stdout = &bounded{limit: limit}
	signal, err := guarded(cmd)
	return cmd.Stdout.(*bounded).data, c.ended(host, signal, err)
}

// bounded keeps the first bytes of what is written, and takes the rest without a word.
type bounded struct {
	data  []byte
	limit int64
}

func (b *bounded) Write(p []byte) (int, error) {
	room := min(int64(len(p)), b.limit-int64(len(b.data)))
	b.data = append(b.data, p[:room]...)
	return len(p), nil
}

// sshCommand is the ssh program with the words as one argument, quoted for the server.
func sshCommand(host remote.Host, terminal bool, words []string) *exec.Cmd {
	args := []string{"-T"}
	if terminal {
		args = []string{"-t"}
	}
	args = append(args, host.Args()...)
	return exec.Command("ssh", append(args, verbs.Line(words))...)
}

// guarded runs a command and outlives it: the terminal's own signals reach it without us, and what is sent to us
// alone is passed on. The last signal is returned, 0 if there was none.
func guarded(cmd *exec.Cmd) (last syscall.Signal, err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		signal.Stop(signals)
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			return latest(signals, last), err
		case s := <-signals:
			last, _ = s.(syscall.Signal)
			if last == syscall.SIGTERM || last == syscall.SIGHUP {
				cmd.Process.Signal(s) // it may have ended just now
			}
		}
	}
}

// latest stops the delivery of signals and returns the last one that came. A Ctrl-C may end ssh before its signal has
// come through here: Stop waits for it, so that a person's Ctrl-C is not told as a failure of ssh.
func latest(signals chan os.Signal, last syscall.Signal) syscall.Signal {
	signal.Stop(signals)
	for {
		select {
		case s := <-signals:
			last, _ = s.(syscall.Signal)
		default:
			return last
		}
	}
}

// ended says how ssh ended. It has a code of its own also for a signal, which is no failure to be told of.
func (c *client) ended(host remote.Host, signal syscall.Signal, err error) error {
	var failed *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fault.Hide(fault.Unavailable, err, "ssh is not installed here").WithHint("Install OpenSSH's client")
	case !errors.As(err, &failed):
		return fault.New(fault.Unavailable, "ssh could not be run: %w", err)
	}
	code := failed.ExitCode()
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		signal = status.Signal()
	}
	switch {
	case signal != 0 && (code == sshFailed || code < 0):
		return exit(128 + int(signal))
	case code == sshFailed:
		c.trouble(fault.New(fault.Unavailable, "ssh did not get through to %s, or the connection broke", host).
			WithHint("What ssh says stands above. To try it alone: ssh %s", verbs.Line(append(host.Args(), "whoami"))))
	}
	return exit(code)
}
