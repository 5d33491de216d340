// Command lain-load puts an address under a steady load until it is told to stop, by -for or by SIGINT or
// SIGTERM, then prints what it counted. It exits 1 when anything was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lain.internal/lain/acceptance/load"
)

func main() {
	var o load.Options
	flag.StringVar(&o.Addr, "addr", "", "host:port to connect to")
	flag.StringVar(&o.Host, "host", "", "Host header (default: the address)")
	flag.IntVar(&o.Rate, "rate", 200, "requests per second")
	flag.StringVar(&o.Path, "path", "/", "path of GETs")
	flag.IntVar(&o.PostEvery, "post-every", 0, "each so many requests one POST (0: none)")
	flag.StringVar(&o.PostPath, "post-path", "/echo", "path of POSTs")
	flag.IntVar(&o.PostBytes, "post-bytes", 1_000_000, "size of a POST's body")
	flag.IntVar(&o.Sockets, "sockets", 0, "number of websockets")
	flag.StringVar(&o.SocketPath, "socket-path", "/ws", "path of websockets")
	flag.IntVar(&o.Streams, "streams", 0, "number of streamed answers on their way")
	flag.IntVar(&o.StreamSeconds, "stream-seconds", 60, "how long each of them lasts")
	flag.IntVar(&o.Callers, "callers", 0, "number of connections with calls of gRPC")
	flag.StringVar(&o.CallAddr, "call-addr", "", "host:port of HTTP/2 without TLS, for -callers")
	length := flag.Duration("for", 0, "how long (0: until a signal)")
	file := flag.String("json", "", "also write the count to this file, as JSON")
	flag.Parse()
	result, err := run(o, *length, *file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lain-load:", err)
		os.Exit(2)
	}
	fmt.Print(result)
	if result.AllLost() > 0 {
		os.Exit(1)
	}
}

func run(o load.Options, length time.Duration, file string) (load.Result, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	l, err := load.Start(ctx, o)
	if err != nil {
		return load.Result{}, err
	}
	<-ctx.Done()
	result := l.Stop()
	if result.Sent == 0 {
		return result, errors.New("stopped before anything was sent")
	}
	return result, write(file, result)
}

func write(file string, r load.Result) error {
	if file == "" {
		return nil
	}
	text, err := r.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
