package start

import (
	"io"
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals that are handed on; stopping those of them that ask a command to end.
var (
	forwarded = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}
	stopping  = map[os.Signal]bool{syscall.SIGHUP: true, syscall.SIGINT: true, syscall.SIGQUIT: true, syscall.SIGTERM: true}
)

// Once runs what Main runs as a child, hands signals on to it, waits, and returns its exit code, 128 + n for an
// end by signal n. It is for commands that have to do all they were started for: one that was told to stop has
// not, even where it ends with 0 then, as well-behaved programs do. That counts as an end by the signal.
func Once(args []string, stderr io.Writer) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	pid, ended, err := child(args)
	if err != nil {
		return cannot(ExitCannot, err, stderr)
	}
	told := 0
	for {
		select {
		case s := <-signals:
			hand(pid, s)
			told = first(told, s)
		case code := <-ended:
			return outcome(code, told, signals)
		}
	}
}

// first remembers the first signal that told the child to stop.
func first(told int, s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok && told == 0 && stopping[s] {
		return int(n)
	}
	return told
}

// outcome is the exit code, where a signal may have come in the moment of the end.
func outcome(code, told int, signals <-chan os.Signal) int {
	for told == 0 && len(signals) > 0 {
		told = first(told, <-signals)
	}
	if code == 0 && told != 0 {
		return 128 + told
	}
	return code
}

// wait is the exit code of a child as shells have it.
func wait(pid int) int {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return ExitCannot
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}
