// Command inlab runs a command with a lab of its own, and removes the lab when the command ends:
//
//	inlab [-nodes N] -- go test -tags engine ./engine
//	inlab -sweep
//
// The command finds the engine of n1 in LAIN_TEST_DOCKER_HOST, the node's address in LAIN_TEST_NODE_IP and
// this machine's address on the same network in LAIN_TEST_HOST_IP, and the words that run a command inside the
// node in LAIN_TEST_NODE_EXEC, separated by spaces. With -sweep it only removes the labs
// that dead runs left. It exits with the command's exit code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"lain.internal/lain/acceptance/lab"
)

func main() {
	nodes := flag.Int("nodes", 1, "number of nodes")
	sweep := flag.Bool("sweep", false, "only remove the labs that dead runs left")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, *nodes, *sweep, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "inlab:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, nodes int, sweep bool, argv []string) (int, error) {
	if sweep {
		return sweepOnly(ctx)
	}
	if len(argv) == 0 {
		return 2, errors.New("name the command to run after --")
	}
	l, err := lab.Up(ctx, lab.Options{Nodes: nodes})
	if err != nil {
		return 1, err
	}
	code, err := with(ctx, l, argv)
	return code, errors.Join(err, l.Down())
}

func sweepOnly(ctx context.Context) (int, error) {
	swept, err := lab.Sweep(ctx)
	for _, name := range swept {
		fmt.Println("removed", name, "which a dead run had left")
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// with runs the command against the lab. An interrupt is passed on to it, so that it can clean up.
func with(ctx context.Context, l *lab.Lab, argv []string) (int, error) {
	inside, err := l.ExecPrefix("n1")
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "LAIN_TEST_DOCKER_HOST="+l.DockerHost("n1"),
		"LAIN_TEST_NODE_IP="+l.IP("n1"), "LAIN_TEST_HOST_IP="+l.HostIP(), "LAIN_TEST_NODE_EXEC="+strings.Join(inside, " "))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	err = cmd.Run()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) && ended.ExitCode() > 0 {
		return ended.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
