package router

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// poisoned makes nginx refuse every configuration in which poison.test occurs, by a directive that it
// does not know.
func poisoned(r *Router) {
	real := r.test
	r.test = func(ctx context.Context, text []byte) error {
		if strings.Contains(string(text), "poison.test") {
			text = append([]byte("poison on;\n"), text...)
		}
		return real(ctx, text)
	}
}

// serve is a backend with a handler of its own.
func serve(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return addressOf(s)
}

func TestRouter_NginxOutlivesItAndIsAdopted(t *testing.T) {
	g := newRig(t)
	g.start()
	g.endpoints("a", "web", addressOf(backend(t, "a")))
	g.applied(g.routes("a", web("a.test", "/", "web")))
	pid := nginxPID(t, g)
	workers := workerPIDs(t, pid)
	g.halt()
	g.expect("a.test", "/", 200, "a GET")

	g.start()
	rev := g.endpoints("b", "web", "127.0.0.1:9") // nobody routes to it: nothing to reload
	g.applied(rev)
	if got := workerPIDs(t, pid); got != workers {
		t.Errorf("workers were %s and are %s: the same content was reloaded", workers, got)
	}
	g.applied(g.routes("b", web("b.test", "/", "gone")))
	g.expect("b.test", "/", 503, "")
	if nginxPID(t, g) != pid {
		t.Errorf("pid is not %d any more", pid)
	}
}

func TestRouter_KilledNginxComesBack(t *testing.T) {
	for name, kill := range map[string]func(pid int) error{
		"master alone": func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
		"whole group":  func(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) },
		"asked to":     func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) },
	} {
		t.Run("edge/"+name, func(t *testing.T) {
			g := newRig(t)
			g.start()
			g.endpoints("a", "web", addressOf(backend(t, "a")))
			g.applied(g.routes("a", web("a.test", "/", "web")))
			before := edgePID(g)
			if err := kill(before); err != nil {
				t.Fatal(err)
			}
			g.until("another edge serves", func() bool {
				response, _, err := g.request("GET", "a.test", "/", nil, "Connection: close")
				return edgePID(g) != before && err == nil && response.StatusCode == 200
			})
		})
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.start()
			g.endpoints("a", "web", addressOf(backend(t, "a")))
			g.applied(g.routes("a", web("a.test", "/", "web")))
			pid := nginxPID(t, g)
			if err := kill(pid); err != nil {
				t.Fatal(err)
			}
			g.until("another nginx serves", func() bool {
				if now := readPID(g); now == "" || now == pidText(pid) {
					return false
				}
				response, _, err := g.request("GET", "a.test", "/", nil)
				return err == nil && response.StatusCode == 200
			})
			g.applied(g.routes("b", web("b.test", "/", "gone"))) // and it is the one that is reloaded
			g.expect("b.test", "/", 503, "")
		})
	}
}

// Whatever was written and whatever ran when the process died, the next start ends at the same point.
func TestRouter_ConvergesFromAnyState(t *testing.T) {
	for name, spoil := range map[string]func(*rig){
		"installed, not reloaded": func(g *rig) {
			if err := g.router.nginx.Install([]byte("daemon off; events {}\n")); err != nil {
				g.t.Fatal(err)
			}
		},
		"pid files lost": func(g *rig) { os.Remove(g.router.nginx.Files.Child); os.Remove(g.router.nginx.Files.PID) },
		"nginx dead, sockets left": func(g *rig) {
			pid := nginxPID(g.t, g)
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		},
		"last good routes damaged": func(g *rig) {
			if err := os.WriteFile(g.router.goodFile(), []byte("{"), 0o644); err != nil {
				g.t.Fatal(err)
			}
		},
		"no configuration": func(g *rig) { os.Remove(g.router.nginx.Files.Config) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.start()
			g.endpoints("a", "web", addressOf(backend(t, "a")))
			g.applied(g.routes("a", web("a.test", "/", "web")))
			g.halt()
			spoil(g)
			g.start()
			g.applied(g.routes("a", web("a2.test", "/", "web")))
			g.expect("a2.test", "/", 200, "a GET")
		})
	}
}

func TestRouter_PortTakenIsTriedAgain(t *testing.T) {
	g := newRig(t)
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	g.start()
	g.until("nginx has tried", func() bool {
		data, _ := os.ReadFile(g.router.edge.Files.ErrorLog)
		return strings.Contains(string(data), "Address already in use")
	})
	l.Close()
	g.applied(g.routes("a", web("a.test", "/", "web")))
	g.expect("a.test", "/", 503, "")
}

func TestRouter_WritesNothingAtRest(t *testing.T) {
	g := newRig(t)
	before := goleak.IgnoreCurrent()
	g.start()
	g.applied(g.routes("a", web("a.test", "/", "web")))
	kind := state.Of[lain.RouterSeen](g.store, lain.NodesPrefix)
	read := func() state.Item[lain.RouterSeen] {
		item, err := kind.Get(t.Context(), "n1/router")
		if err != nil {
			t.Fatal(err)
		}
		return item
	}
	first, looks := read(), 0
	g.until("the start is over: a hundred looks see the same", func() bool {
		now := read()
		if now.Revision != first.Revision {
			first, looks = now, 0
		}
		looks++
		return looks == 100
	})
	if _, err := state.Of[lain.App](g.store, lain.AppsPrefix).Put(t.Context(), "a", lain.App{}); err != nil { // not the router's
		t.Fatal(err)
	}
	pid := nginxPID(t, g)
	_ = syscall.Kill(pid, syscall.SIGTERM) // work for the router, but no news for anybody
	g.until("another nginx serves", func() bool {
		now := readPID(g)
		_, _, err := g.request("GET", "a.test", "/", nil)
		return now != "" && now != pidText(pid) && err == nil
	})
	rev := g.endpoints("z", "web", "127.0.0.1:9") // the next thing that it has to answer
	g.applied(rev)
	second := read()
	if second.Revision != rev+1 || first.Revision >= rev {
		t.Errorf("written at %d and %d, the changes were at %d", first.Revision, second.Revision, rev)
	}
	g.halt()
	g.client.CloseIdleConnections()
	// Who waits for a child that outlives us cannot be ended.
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("lain.internal/lain/supervise.(*Process).reap.func1"))
}

func TestRouter_DownStopsNginxOnce(t *testing.T) {
	g := newRig(t)
	g.start()
	g.applied(g.routes("a", web("a.test", "/", "web")))
	g.halt()
	for range 2 { // the second time there is nothing to stop
		if err := g.fresh().Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.request("GET", "a.test", "/", nil); err == nil {
			t.Error("still serves")
		}
	}
}

func TestListenAddresses(t *testing.T) {
	for in, want := range map[string]string{"127.0.0.1:80": "127.0.0.1:80", "localhost:8080": "127.0.0.1:8080", "[::1]:80": "[::1]:80"} {
		if got, err := listenAddresses(in); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	if got, err := listenAddresses(":80"); err != nil || got[0] != "0.0.0.0:80" {
		t.Errorf(":80: %v %v", got, err)
	}
	for _, in := range []string{"", "80", "example.org:80", ":", ":0", ":http", "1.2.3.4", "1.2.3.4:80;"} {
		if got, err := listenAddresses(in); err == nil {
			t.Errorf("%q became %v", in, got)
		}
	}
}

// Logs are set aside while nginx writes them: each request has its line in one of them, and the oldest ones go.
func TestRouter_LogsAreRotatedAndNoLineIsLost(t *testing.T) {
	g := newRig(t)
	g.start(func(r *Router) { r.logs = rotation{every: 20 * time.Millisecond, limit: 2000, kept: 500} })
	g.endpoints("a", "web", addressOf(backend(t, "a")))
	g.applied(g.routes("a", web("a.test", "/", "web")))
	log := g.router.nginx.Files.AccessLog
	asked := 0
	g.until("logs that were set aside", func() bool {
		g.expect("a.test", "/mark", 200, "a GET")
		asked++
		return exists(log + ".3")
	})
	g.until("a line of each request", func() bool { return strings.Count(logsBelow(t, log), "/mark") >= asked })
	if lines := strings.Count(logsBelow(t, log), "/mark"); lines != asked {
		t.Errorf("%d requests have %d lines", asked, lines)
	}
	if exists(g.router.edge.Files.AccessLog) {
		t.Error("the edge has an access log")
	}

	g.halt()
	if err := os.Rename(log, log+".499"); err != nil { // as one who died before nginx was told
		t.Fatal(err)
	}
	g.start(func(r *Router) { r.logs = rotation{every: 20 * time.Millisecond, limit: 1 << 20, kept: 500} })
	g.until("a new log", func() bool { return exists(log) })
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// logsBelow is what all logs of that name hold.
func logsBelow(t *testing.T, log string) string {
	t.Helper()
	files, err := filepath.Glob(log + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // one may be set aside just now
			all.Write(text)
		}
	}
	return all.String()
}
