package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/router/nginx"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// rig is a store, a router on a free port, and the means to write records and send requests.
type rig struct {
	t                *testing.T
	store            *state.Store
	dir              string
	addr             string
	addrTLS, certDir string // "": no TLS
	addr2            string // "": no HTTP/2 without TLS
	router           *Router
	stop             func() // ends Run, leaves nginx
	client           *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	endForgotten(t)
	dir, err := os.MkdirTemp("", fmt.Sprintf("lain-router-%d-", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &rig{t: t, store: statetest.Open(t), dir: dir, addr: freeAddr(t)}
	g.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(g.client.CloseIdleConnections)
	t.Cleanup(func() {
		g.halt()
		if err := g.fresh().Down(context.Background()); err != nil {
			t.Errorf("stop nginx: %v", err)
		}
		if t.Failed() {
			data, _ := os.ReadFile(filepath.Join(dir, "router/logs/error.log"))
			t.Logf("error.log:\n%s", data)
		}
	})
	return g
}

// endForgotten stops the nginx of a test process that died before it could.
func endForgotten(t *testing.T) {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "lain-router-*-*"))
	for _, dir := range dirs {
		var pid int
		_, err := fmt.Sscanf(filepath.Base(dir), "lain-router-%d-", &pid)
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		for _, part := range []string{"edge", ""} {
			n := nginx.New(nginx.Options{Dir: filepath.Join(dir, "router", part), RunDir: filepath.Join(dir, "run", part), Logger: slog.New(slog.DiscardHandler)})
			if err := n.Down(t.Context()); err != nil {
				t.Errorf("stop the nginx of a dead test: %v", err)
			}
		}
		_ = os.RemoveAll(dir)
	}
}

func (g *rig) fresh() *Router {
	return New(Options{Store: g.store, Node: "n1", Dir: filepath.Join(g.dir, "router"), RunDir: filepath.Join(g.dir, "run"),
		HTTPAddr: g.addr, HTTPSAddr: g.addrTLS, HTTP2Addr: g.addr2, CertDir: g.certDir, Logger: slog.New(slog.NewTextHandler(g.t.Output(), nil))})
}

// start runs a new router until halt.
func (g *rig) start(change ...func(*Router)) {
	g.t.Helper()
	g.router = g.fresh()
	for _, f := range change {
		f(g.router)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.router.Run(ctx) }()
	g.stop = func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Errorf("Run: %v", err)
		}
	}
}

func (g *rig) halt() {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
}

func (g *rig) routes(app string, routes ...lain.Route) int64 {
	g.t.Helper()
	rev, err := state.Of[lain.AppRoutes](g.store, lain.RoutesPrefix).Put(g.t.Context(), app, lain.AppRoutes{App: lain.AppName(app), Routes: routes})
	if err != nil {
		g.t.Fatal(err)
	}
	return rev
}

func (g *rig) endpoints(app, proc string, addresses ...string) int64 {
	g.t.Helper()
	rev, err := state.Of[lain.Endpoints](g.store, lain.EndpointsPrefix).Put(g.t.Context(), app+"/"+proc,
		lain.Endpoints{App: lain.AppName(app), Proc: lain.ProcName(proc), Addresses: addresses})
	if err != nil {
		g.t.Fatal(err)
	}
	return rev
}

// applied waits until the router has said that it is at the revision.
func (g *rig) applied(revision int64) (seen lain.RouterSeen) {
	g.t.Helper()
	g.until("the router is at the revision", func() bool {
		item, err := state.Of[lain.RouterSeen](g.store, lain.NodesPrefix).Get(g.t.Context(), "n1/router")
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			g.t.Fatal(err)
		}
		seen = item.Value
		return err == nil && seen.Revision >= revision
	})
	return seen
}

// seen is what the router has said last.
func (g *rig) seen() lain.RouterSeen {
	g.t.Helper()
	item, err := state.Of[lain.RouterSeen](g.store, lain.NodesPrefix).Get(g.t.Context(), "n1/router")
	if err != nil {
		g.t.Fatal(err)
	}
	return item.Value
}

func (g *rig) until(what string, done func() bool) {
	g.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			g.t.Fatalf("not within 15 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

// request asks the router for a host's path; header is "Name: value" each.
func (g *rig) request(method, host, path string, body io.Reader, header ...string) (*http.Response, string, error) {
	request, err := http.NewRequest(method, "http://"+g.addr+path, body)
	if err != nil {
		return nil, "", err
	}
	request.Host = host
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response, string(data), err
}

func (g *rig) get(host, path string, header ...string) (*http.Response, string) {
	g.t.Helper()
	response, body, err := g.request("GET", host, path, nil, header...)
	if err != nil {
		g.t.Fatalf("GET %s%s: %v", host, path, err)
	}
	return response, body
}

func (g *rig) expect(host, path string, status int, want string) {
	g.t.Helper()
	response, body := g.get(host, path)
	if response.StatusCode != status || !strings.Contains(body, want) {
		g.t.Errorf("GET %s%s: %d %q, want %d %q", host, path, response.StatusCode, body, status, want)
	}
}

// backend answers with its name, the path and the headers it saw.
func backend(t *testing.T, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %s body=%d\nHost: %s\n", name, r.Method, r.RequestURI, n, r.Host)
		_ = r.Header.Write(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func addressOf(s *httptest.Server) string { return s.Listener.Addr().String() }

// freeAddr is outside of the range from which the kernel gives ports to our own backends.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 21000+rand.IntN(9000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func web(host, path, proc string) lain.Route {
	return lain.Route{Host: host, Path: path, Proc: lain.ProcName(proc)}
}

// nginxPID is the master's, by the file that nginx writes: the router's own fields belong to its goroutine.
func nginxPID(t *testing.T, g *rig) int {
	t.Helper()
	pid, err := strconv.Atoi(readPID(g))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func readPID(g *rig) string {
	data, _ := os.ReadFile(filepath.Join(g.dir, "run/router/nginx.pid"))
	return strings.TrimSpace(string(data))
}

func edgePID(g *rig) int {
	data, _ := os.ReadFile(filepath.Join(g.dir, "run/edge/router/nginx.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

func pidText(pid int) string { return strconv.Itoa(pid) }

// workerPIDs are the children of a process, as one text.
func workerPIDs(t *testing.T, master int) string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, e := range entries {
		status, _ := os.ReadFile("/proc/" + e.Name() + "/status")
		if strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", master)) {
			pids = append(pids, e.Name())
		}
	}
	if len(pids) == 0 {
		t.Fatalf("nginx %d has no workers", master)
	}
	return strings.Join(pids, " ")
}
