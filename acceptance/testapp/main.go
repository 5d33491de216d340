// Command testapp is the application that the acceptance stories push: one static binary that serves, works,
// breaks, stalls or crashes as its flags say.
//
// It listens on $PORT (8080 without) and answers:
//
//	/            the version, then the host name, a line each
//	/healthz     200 "ok", or 500 with -unhealthy
//	/echo        POST: "<sha256 of the body> <length>"
//	/ws          a websocket that sends back what it gets
//	/slow?ms=N   the version, after N milliseconds
//	/stream?s=N  a line every 100 ms for N seconds
//	/lain.Echo/Say  gRPC, without TLS: each message comes back
//	/env?k=NAME  the value of an environment variable, 404 where it is not set
//	/file?p=PATH the content of a file
//	/fetch?url=U what a GET of U answers: its status line, then the body's first 64 KiB
//	/dial?addr=A "ok" where a TCP connection to A succeeds within 2 s
//	/log?n=N     prints N lines on standard output
//	/sick?n=N    makes this instance sick: the next N questions on /healthz are answered with 500, and so is all else
//	             until then, unless only=health is said; 0 heals it
//	/sickness    what came while it was sick, counted, in JSON
//
// On SIGTERM it stops listening, tells websockets that it is going away, finishes what is in flight within
// ten seconds (-drain) and exits 0.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	o, err := parse(os.Args[1:], os.Getenv)
	if err != nil {
		os.Exit(2) // flag has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	code, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testapp:", err)
	}
	os.Exit(code)
}

// run behaves as told until ctx ends, and returns the exit code.
func run(ctx context.Context, o options) (int, error) {
	fmt.Printf("testapp %s starts\n", o.version)
	printFiles(os.Stdout, o.show)
	printLines(os.Stdout, o.lines)
	if o.needs != "" {
		if err := ask(ctx, o.needs, "start"); err != nil {
			return needGone, fmt.Errorf("cannot start: %w", err)
		}
		go keepAsking(ctx, o.needs)
	}
	switch {
	case o.crash:
		fmt.Fprintln(os.Stderr, "testapp: crashing as told")
		return 3, nil
	case o.oom:
		return 1, eat(ctx)
	case o.worker:
		return 0, tick(ctx, os.Stdout, o.version, o.tick)
	}
	if !sleep(ctx, o.delay) {
		return 0, nil
	}
	if o.crashAfter > 0 {
		time.AfterFunc(o.crashAfter, func() {
			fmt.Fprintln(os.Stderr, "testapp: crashing as told")
			os.Exit(3)
		})
	}
	return listen(ctx, o)
}

func listen(ctx context.Context, o options) (int, error) {
	port := o.port
	if o.wrongPort {
		port++
	}
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return 1, err
	}
	fmt.Printf("testapp %s listens on port %d\n", o.version, port)
	if err := serve(ctx, l, o); err != nil {
		return 1, err
	}
	fmt.Printf("testapp %s ends\n", o.version)
	return 0, nil
}

// sleep waits for d and reports whether ctx lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
