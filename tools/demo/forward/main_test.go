package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// upper is a server that answers "got LINE" to one line, after the client has closed its side.
func upper(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(c)
			fmt.Fprintf(c, "got %s", all)
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestRun_TakesAnotherPortAndPassesHalfClose(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0") // far below the end: the kernel's own range stops at 60999
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	state := filepath.Join(t.TempDir(), "ports")
	go func() { ended <- run(ctx, state, []string{fmt.Sprintf("echo=%d:%s", port, upper(t))}) }()
	got := readState(t, state)
	if got == port {
		t.Fatalf("took port %d, which was in use", port)
	}
	if said := talk(t, got, "hello"); said != "got hello" {
		t.Errorf("heard %q through the forwarder", said)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func readState(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		var name string
		var port int
		if _, err := fmt.Fscan(bufio.NewReader(f), &name, &port); err != nil || name != "echo" {
			t.Fatalf("state says %q %d, %v", name, port, err)
		}
		return port
	}
	t.Fatal("no state was written")
	return 0
}

func talk(t *testing.T, port int, say string) string {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, say)
	_ = c.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestParse(t *testing.T) {
	if w, err := parse("http=8080:10.0.0.1:80"); err != nil || w.name != "http" || w.port != 8080 || w.target != "10.0.0.1:80" {
		t.Errorf("parsed %+v, %v", w, err)
	}
	for _, bad := range []string{"", "http", "http=80", "http=x:1:2", "=80:a:1", "http=0:a:1"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
