package start

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// held are signals by which engines ask for an end. Those in private are not for the command.
var (
	held    = map[os.Signal]bool{syscall.SIGTERM: true, syscall.SIGINT: true, syscall.SIGQUIT: true}
	private = map[os.Signal]bool{syscall.SIGCHLD: true, syscall.SIGURG: true, syscall.SIGPIPE: true}
)

// Serve runs "HOLD [--config FILE] -- COMMAND [ARGUMENT...]": what Main runs as a child, until that ends, whose exit
// code it returns, 128 + n for an end by signal n. Signals are handed on. The first that asks for an end is held back
// for HOLD ("5s") while inUse says so: whoever sends requests to the command may not know yet that it is to end. A
// second one is handed on at once.
//
// It is for commands that get requests. The price is a process of about two megabytes beside each.
func Serve(args []string, inUse func() bool, stderr io.Writer) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	hold, err := holding(args)
	if err != nil {
		return cannot(ExitUsage, err, stderr)
	}
	pid, ended, err := child(args[1:])
	if err != nil {
		return cannot(ExitCannot, err, stderr)
	}
	var asked os.Signal // the one that is held back
	var due <-chan time.Time
	for {
		select {
		case s := <-signals:
			switch {
			case private[s]:
			case held[s] && asked == nil && inUse():
				asked, due = s, time.After(hold)
			default:
				hand(pid, s)
			}
		case <-due:
			hand(pid, asked)
		case code := <-ended:
			return code
		}
	}
}

func holding(args []string) (time.Duration, error) {
	if len(args) > 0 {
		if hold, err := time.ParseDuration(args[0]); err == nil && hold >= 0 {
			return hold, nil
		}
	}
	return 0, errors.New("how long to hold signals back is missing; usage: helper serve HOLD [--config FILE] -- COMMAND [ARGUMENT...]")
}

func cannot(code int, err error, stderr io.Writer) int {
	_, _ = io.WriteString(stderr, "lain: "+err.Error()+"\n")
	return code
}

// child starts what Main runs, and tells once how it ended.
func child(args []string) (pid int, ended <-chan int, err error) {
	pid, err = syscall.ForkExec("/proc/self/exe", append([]string{"helper", "run"}, args...),
		&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, nil, errors.New("cannot start a process: " + err.Error())
	}
	end := make(chan int, 1)
	go func() { end <- wait(pid) }()
	return pid, end, nil
}

// hand gives a signal to a child, which may have ended just now.
func hand(pid int, s os.Signal) {
	if n, ok := s.(syscall.Signal); ok {
		_ = syscall.Kill(pid, n)
	}
}
