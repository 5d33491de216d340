package enter

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// The exit codes of enter itself; every other one is the command's, 128 + n for an end by signal n.
const (
	exitUsage  = 64
	exitCannot = 126
	exitHangup = 128 + int(syscall.SIGHUP) // the person is gone
)

// patience is from telling a command to hang up to killing it.
const patience = 2 * time.Second

const usage = "usage: helper enter ID [--terminal NAME COLUMNS ROWS] [--config FILE] -- [COMMAND [ARGUMENT...]]"

// shells are looked for, in this order, when no command is named.
var shells = []string{"/bin/bash", "/usr/bin/bash", "/bin/sh", "/bin/ash", "/busybox/sh"}

// asked is what the arguments say.
type asked struct {
	terminal      bool
	name          string // of the terminal
	columns, rows uint16
	argv          []string // for the helper: "run", with --config where the file is there, and the command
}

// Main runs "ID [--terminal NAME COLUMNS ROWS] [--config FILE] -- [COMMAND [ARGUMENT...]]" and returns its exit code. Without
// a command it is a shell of the image. The frames of what is typed come on stdin; output goes to this process's own
// standard output and, without a terminal, error, each with Mark behind it; Main returns when stdin has ended, too. Leave
// with the same ID is the person's end as well.
func Main(args []string, stdin io.Reader, stderr io.Writer) int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGHUP)
	a, err := parse(args)
	if err != nil {
		return cannot(exitUsage, err, stderr)
	}
	c, err := begin(a)
	if err != nil {
		return cannot(exitCannot, err, stderr)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.feed(stdin)
	}()
	select {
	case code := <-c.ended:
		c.drain()
		mark(args[0], os.Stdout, os.Stderr)
		select { // until all has been heard
		case <-gone:
		case <-told:
		}
		return code
	case <-gone:
	case <-told:
	}
	c.hangUp()
	return exitHangup
}

func mark(id string, outputs ...io.Writer) {
	for _, w := range outputs {
		_, _ = io.WriteString(w, Mark(id))
	}
}

func cannot(code int, err error, stderr io.Writer) int {
	_, _ = io.WriteString(stderr, "lain: "+err.Error()+"\n")
	return code
}

func parse(args []string) (a asked, err error) {
	if len(args) == 0 {
		return a, errors.New(usage)
	}
	args = args[1:] // the id is for Leave to see
	if len(args) >= 4 && args[0] == "--terminal" {
		columns, wrong := strconv.ParseUint(args[2], 10, 16)
		rows, wrongToo := strconv.ParseUint(args[3], 10, 16)
		if wrong != nil || wrongToo != nil {
			return a, errors.New("the terminal's size is not two numbers; " + usage)
		}
		a.terminal, a.name, a.columns, a.rows = true, args[1], uint16(columns), uint16(rows)
		args = args[4:]
	}
	a.argv = []string{"run"}
	if len(args) >= 2 && args[0] == "--config" {
		if _, err := os.Stat(args[1]); err == nil {
			a.argv = append(a.argv, args[:2]...)
		}
		args = args[2:]
	}
	if len(args) == 0 || args[0] != "--" {
		return a, errors.New("no command stands behind --; " + usage)
	}
	a.argv = append(a.argv, args...)
	if len(args) > 1 {
		return a, nil
	}
	shell, err := findShell()
	a.argv = append(a.argv, shell)
	return a, err
}

func findShell() (string, error) {
	for _, s := range shells {
		if st, err := os.Stat(s); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return s, nil
		}
	}
	return "", errors.New("the image has no shell: name a program of it to run")
}

// command is what runs for the person.
type command struct {
	cmd      *exec.Cmd
	terminal *terminal // nil: none
	input    io.WriteCloser
	ended    chan int
}

// begin starts the command through the helper's own run, in a session of its own. It dies with this process, which stays on
// its first thread for that.
func begin(a asked) (*command, error) {
	c := &command{cmd: exec.Command("/proc/self/exe"), ended: make(chan int, 1)}
	c.cmd.Args = append([]string{"helper"}, a.argv...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	c.cmd.Stdout, c.cmd.Stderr = os.Stdout, os.Stderr
	if a.terminal {
		return c, c.beginAtTerminal(a)
	}
	input, err := c.cmd.StdinPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, errors.New("cannot start a process: " + err.Error())
	}
	c.input = input
	go c.wait()
	return c, nil
}

func (c *command) beginAtTerminal(a asked) error {
	t, err := openTerminal(a.columns, a.rows)
	if err != nil {
		return err
	}
	c.terminal, c.input = t, t
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = t.inside, t.inside, t.inside
	c.cmd.SysProcAttr.Setctty = true
	if a.name != "" {
		c.cmd.Env = append(os.Environ(), "TERM="+a.name)
	}
	err = c.cmd.Start()
	_ = t.inside.Close() // the command has it
	if err != nil {
		_ = t.outside.Close()
		return errors.New("cannot start a process: " + err.Error())
	}
	go t.show(os.Stdout)
	go c.wait()
	return nil
}

// wait tells once how the command ended.
func (c *command) wait() {
	_ = c.cmd.Wait()
	status, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	c.ended <- code
}

// feed hands on what the person sends, until the stream ends.
func (c *command) feed(stdin io.Reader) {
	frames := newReader(stdin)
	for {
		f, err := frames.next()
		switch {
		case err != nil:
			return
		case f.kind == data:
			_, _ = c.input.Write(f.payload) // who does not read its input any more may still be at work
		case f.kind == end:
			_ = c.endInput()
		case c.terminal != nil:
			c.terminal.resize(f.sized())
		}
	}
}

func (c *command) endInput() error {
	if c.terminal != nil {
		return c.terminal.endInput()
	}
	return c.input.Close()
}

// drain waits until all that the command wrote at its terminal is out. What it left running in the background is told to
// hang up, as by any terminal that is closed.
func (c *command) drain() {
	if c.terminal != nil {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGHUP)
		c.terminal.drain()
	}
}

// hangUp tells the command and its foreground that the person is gone, and kills what of it is left after a moment.
func (c *command) hangUp() {
	groups := []int{c.cmd.Process.Pid}
	if c.terminal != nil {
		groups = append(groups, c.terminal.foreground())
	}
	kill(groups, syscall.SIGHUP)
	if c.terminal != nil {
		_ = c.terminal.outside.Close()
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
	}
	kill(groups, syscall.SIGKILL)
}

// kill gives process groups a signal.
func kill(groups []int, s syscall.Signal) {
	for _, g := range groups {
		if g > 1 {
			_ = syscall.Kill(-g, s)
		}
	}
}
