// Command make-bases makes the base images of the examples and tests from what this machine has, since no
// image registry can be assumed:
//
//	make-bases -engine unix:///path/docker.sock [-testapp FILE] [golang] [bare] [testapp] [python] [node]
//
//	lain/golang:1.26   the Go toolchain, a shell, and a build cache with the standard library compiled in
//	lain/bare:1        busybox and certificates: what a static binary needs
//	lain/testapp:1     lain/bare with the acceptance tests' application as /bin/testapp
//	lain/python:3      lain/bare with the distribution's Python and its standard library
//	lain/node:lts      lain/bare with the distribution's Node
//
// Without names it makes golang and bare, and testapp too where -testapp names the binary. The tars are kept
// under -cache; an engine that has an image made from the same parts is left alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.engine, "engine", os.Getenv("DOCKER_HOST"), "the engine to import into, as DOCKER_HOST has it")
	flag.StringVar(&o.cache, "cache", defaultCache(), "where the tars are kept")
	flag.StringVar(&o.testapp, "testapp", "", "the static test application, for lain/testapp")
	flag.StringVar(&o.busybox, "busybox", "/bin/busybox", "a static busybox")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make-bases:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct{ engine, cache, testapp, busybox string }

// defaultCache lies outside the clone, so that a fresh one starts warm.
func defaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	return filepath.Join(dir, "lain", "bases")
}

func run(ctx context.Context, o options, names []string) error {
	if o.engine == "" {
		return errors.New("say with -engine which engine shall have the images, for instance unix:///run/docker.sock")
	}
	if len(names) == 0 {
		names = []string{"golang", "bare"}
		if o.testapp != "" {
			names = append(names, "testapp")
		}
	}
	for _, name := range names {
		began := time.Now()
		b, err := find(name, o)
		if err != nil {
			return err
		}
		did, err := provide(ctx, o, b)
		if err != nil {
			return fmt.Errorf("make %s: %w", b.tag, err)
		}
		fmt.Printf("%-17s %s (%.1f s)\n", b.tag, did, time.Since(began).Seconds())
	}
	return nil
}
