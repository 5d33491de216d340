// Package start turns the helper into the application: it gives up the right to gain privileges and
// then becomes the command it was given, in the same process, so that signals, exit code and pid 1 are
// the application's own.
//
// Docker Engine 20.10 silently drops Swarm's NoNewPrivileges, so it is done here, where nothing can drop
// it: a set-uid program inside the image then gives nobody more rights than the container started with.
//
// With --config FILE it adds an application's config values to the environment. They are in that file, in
// memory, so that they are in no argument and in nothing that the engine shows. A file that is not there or
// not whole starts nothing.
//
// A command that has to do all it was started for is run by Once instead, and one that gets requests by Serve: both
// stay and wait for its end.
//
// Nothing else is changed: environment, working directory, user, signals and limits pass through. It
// links neither fmt nor os/exec, to stay small.
package start

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The exit codes of a command that could not be started, as shells have them.
const (
	ExitUsage    = 64
	ExitCannot   = 126 // there, but it cannot be run
	ExitNotFound = 127
)

// defaultPath is where the engine looks when a container has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Main runs "[--config FILE] -- COMMAND [ARGUMENT...]". It returns only when the command could not be started, with the
// exit code; the reason is then one line on stderr. The caller must have locked its goroutine to its
// thread: both the promise and the exec belong to a thread.
func Main(args []string, stderr io.Writer) int {
	code, err := run(args)
	_, _ = io.WriteString(stderr, "lain: "+err.Error()+"\n")
	return code
}

func run(args []string) (int, error) {
	env, args, err := surroundings(args)
	if err != nil {
		return ExitCannot, err
	}
	if len(args) < 2 || args[0] != "--" || args[1] == "" {
		return ExitUsage, errors.New("no command to start; usage: helper run [--config FILE] -- COMMAND [ARGUMENT...]")
	}
	argv := args[1:]
	program, err := find(argv[0], path(env))
	if err != nil {
		return exitCode(err), sentence(argv[0], err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return ExitCannot, errors.New("the kernel refuses to set no-new-privileges: " + err.Error())
	}
	err = syscall.Exec(program, argv, env)
	return exitCode(err), sentence(program, err)
}

// surroundings are the command's environment, and the arguments after --config FILE.
func surroundings(args []string) (env, rest []string, err error) {
	if len(args) < 2 || args[0] != "--config" {
		return os.Environ(), args, nil
	}
	env, err = Environment(os.Environ(), args[1])
	return env, args[2:], err
}

// path is what env says of it, the last word counting.
func path(env []string) string {
	p := defaultPath
	for _, kv := range env {
		if value, is := strings.CutPrefix(kv, "PATH="); is {
			p = value
		}
	}
	return p
}

// find is the file that name means. A name with a slash is the file itself; any other is looked up in
// the folders of path. The first that can be run wins; if there is only one that cannot, that is said.
func find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, runnable(name)
	}
	var found error = unix.ENOENT
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := strings.TrimSuffix(dir, "/") + "/" + name
		err := runnable(file)
		if err == nil {
			return file, nil
		}
		if errors.Is(err, unix.EACCES) {
			found = err
		}
	}
	return "", found
}

// runnable is nil for a regular file that this user may execute.
func runnable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
}

func exitCode(err error) int {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return ExitNotFound
	}
	return ExitCannot
}

func sentence(name string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return missing(name)
	case errors.Is(err, unix.EACCES):
		return errors.New("cannot start " + name + ": it is not an executable file (chmod +x it, and commit that)")
	case errors.Is(err, unix.ENOEXEC):
		return errors.New("cannot start " + name + ": it is no program for this machine (a script needs a #! line)")
	}
	return errors.New("cannot start " + name + ": " + err.Error())
}

// missing tells a program that is not there from a script or a dynamic program whose interpreter is not.
func missing(name string) error {
	if strings.Contains(name, "/") && runnable(name) == nil {
		return errors.New("cannot start " + name + ": the program that runs it (#! line or dynamic loader) is not in the image")
	}
	return errors.New("cannot start " + name + ": there is no such program in the image")
}
