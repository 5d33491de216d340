// Package file reads and writes one file in a container for a person, with the rights of the container's user and with
// nothing of the image: some have no shell and no cat.
package file

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	exitUsage  = 64
	exitCannot = 1
)

// Get runs "PATH": it copies a regular file to stdout.
func Get(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		return say(exitUsage, "usage: helper get PATH", stderr)
	}
	f, err := os.OpenFile(args[0], os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe that nobody writes to must not hold us
	if err != nil {
		return say(exitCannot, reason(args[0], err), stderr)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return say(exitCannot, args[0]+" is no file (for a folder: enter, and tar -c)", stderr)
	}
	if _, err := io.Copy(stdout, f); err != nil {
		return say(exitCannot, reason(args[0], err), stderr)
	}
	return 0
}

// Put runs "PATH": it copies stdin into a file, in the place of one that is there, whose mode it keeps. The file is there
// whole or as it was: also when the copy is told to end in the middle.
func Put(args []string, stdin io.Reader, stderr io.Writer) int {
	if len(args) != 1 || args[0] == "" {
		return say(exitUsage, "usage: helper put PATH", stderr)
	}
	mode, err := modeOf(args[0])
	if err == nil {
		err = put(args[0], mode, stdin)
	}
	if err != nil {
		return say(exitCannot, reason(args[0], err), stderr)
	}
	return 0
}

// modeOf is the mode that the file is to have.
func modeOf(path string) (os.FileMode, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0o644, nil
	case err != nil:
		return 0, err
	case !st.Mode().IsRegular():
		return 0, errors.New("it is no file: name the file that is to be")
	}
	return st.Mode().Perm(), nil
}

func put(path string, mode os.FileMode, stdin io.Reader) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	part := path + ".part-" + strconv.Itoa(os.Getpid())
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(f, stdin)
		copied <- errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	}()
	select {
	case err = <-copied:
	case <-told:
		err = errors.New("told to end in the middle")
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// reason is a sentence about a path, without the path that the error itself begins with.
func reason(path string, err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return path + ": " + err.Error()
}

func say(code int, sentence string, stderr io.Writer) int {
	_, _ = io.WriteString(stderr, "lain: "+sentence+"\n")
	return code
}
