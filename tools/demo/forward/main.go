// Command forward makes TCP ports of a demo's node reachable on this machine's loopback:
//
//	forward -state FILE http=8080:10.118.0.11:80 ssh=2222:10.118.0.11:2222
//
// Each argument is NAME=PORT:TARGET. A port that is taken is replaced by the next free one. When all are
// open, the file gets a line "NAME PORT" for each. It runs until SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	state := flag.String("state", "", "file that gets the ports")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, *state, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

// way leads from a port of the loopback to a target.
type way struct {
	name, target string
	port         int
	listeners    []net.Listener
}

func run(ctx context.Context, state string, args []string) error {
	if state == "" || len(args) == 0 {
		return errors.New("say -state FILE and at least one NAME=PORT:TARGET")
	}
	var ways []*way
	for _, arg := range args {
		w, err := parse(arg)
		if err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
		ways = append(ways, w)
	}
	if err := note(state, ways); err != nil {
		return err
	}
	serve(ctx, ways)
	return nil
}

func parse(arg string) (*way, error) {
	name, rest, ok := strings.Cut(arg, "=")
	port, target, ok2 := strings.Cut(rest, ":")
	n, err := strconv.Atoi(port)
	if !ok || !ok2 || name == "" || target == "" || err != nil || n < 1 || n > 65000 {
		return nil, fmt.Errorf("%q is not NAME=PORT:TARGET", arg)
	}
	return &way{name: name, target: target, port: n}, nil
}

// open listens on the wished port or one of the hundred after it, on both loopbacks where there are two.
func (w *way) open() error {
	for try := 0; try < 100; try++ {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", w.port+try))
		if err != nil {
			continue
		}
		l6, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", w.port+try))
		if errors.Is(err, syscall.EADDRINUSE) {
			_ = l.Close() // a browser that prefers IPv6 would meet somebody else
			continue
		}
		w.port, w.listeners = w.port+try, []net.Listener{l}
		if err == nil {
			w.listeners = append(w.listeners, l6)
		}
		return nil
	}
	return fmt.Errorf("no port from %d on is free for %s", w.port, w.name)
}

// note writes the file whole, beside its place first.
func note(path string, ways []*way) error {
	var text strings.Builder
	for _, w := range ways {
		fmt.Fprintf(&text, "%s %d\n", w.name, w.port)
	}
	if err := os.WriteFile(path+".new", []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write down the ports: %w", err)
	}
	return os.Rename(path+".new", path)
}

// serve forwards until ctx ends, then closes everything and waits.
func serve(ctx context.Context, ways []*way) {
	var wg sync.WaitGroup
	for _, w := range ways {
		for _, l := range w.listeners {
			wg.Go(func() { w.accept(ctx, l) })
			context.AfterFunc(ctx, func() { _ = l.Close() })
		}
	}
	wg.Wait()
}

func (w *way) accept(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no file descriptors, say: others will end
			time.Sleep(50 * time.Millisecond)
			continue
		}
		wg.Go(func() { w.carry(ctx, c.(*net.TCPConn)) })
	}
}

// carry joins one connection with the target, each direction to its own end.
func (w *way) carry(ctx context.Context, near *net.TCPConn) {
	defer near.Close()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", w.target)
	if err != nil {
		_ = near.SetLinger(0) // the nearest thing to "connection refused"
		return
	}
	far := conn.(*net.TCPConn)
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { oneWay(far, near) })
	oneWay(near, far)
	wg.Wait()
}

// oneWay copies until from ends, and passes that end on.
func oneWay(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = from.CloseRead()
	}
	_ = to.CloseWrite()
}
