package hook

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// Name is the hook that git looks for in core.hooksPath.
const Name = "proc-receive"

// What the environment of the hook says.
const (
	SocketEnv = "LAIN_HOOK_SOCKET"
	TokenEnv  = "LAIN_HOOK_TOKEN"
)

// Run is the whole of lain-hook: it copies between git and the server until the server says with which
// code to exit. Without a server, or when it goes away, the code is 1 and git moves no ref.
func Run(argv0 string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if filepath.Base(argv0) != Name {
		fmt.Fprintf(stderr, "lain-hook is run by git, as %s\n", Name)
		return 2
	}
	conn, err := net.Dial("unix", getenv(SocketEnv))
	if err != nil {
		fmt.Fprintln(stderr, "lain: the server cannot be reached from its git hook: try again, or tell its operator")
		return 1
	}
	defer conn.Close()
	up := &frameWriter{w: conn}
	if err := up.frame(frameHello, []byte(getenv(TokenEnv))); err != nil {
		return gone(stderr)
	}
	go func() { // ends with the process
		_, _ = io.Copy(stream{up, frameStdin}, stdin)
		_ = up.frame(frameStdinEnd, nil)
	}()
	return copyDown(conn, stdout, stderr)
}

func copyDown(conn io.Reader, stdout, stderr io.Writer) int {
	buf := make([]byte, maxFrame)
	for {
		k, p, err := readFrame(conn, buf)
		if err != nil {
			return gone(stderr)
		}
		switch k {
		case frameStdout:
			_, err = stdout.Write(p)
		case frameStderr:
			_, err = stderr.Write(p)
		case frameExit:
			return exitCode(p)
		default:
			err = errFrame
		}
		if err != nil {
			return 1
		}
	}
}

func exitCode(p []byte) int {
	if len(p) != 1 {
		return 1
	}
	return int(p[0])
}

func gone(stderr io.Writer) int {
	fmt.Fprintln(stderr, "lain: the server went away before it answered: git ls-remote tells what it has")
	return 1
}
