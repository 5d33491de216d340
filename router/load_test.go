package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counting is a backend that can be stopped as a container is: it finishes what it has, and refuses the
// rest.
type counting struct {
	*httptest.Server
	served atomic.Int64
}

func newCounting(t *testing.T, name string) *counting {
	t.Helper()
	c := &counting{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		c.served.Add(1)
		fmt.Fprintf(w, "%s %d", name, n)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestRouter_NoRequestIsLostWhenEndpointsChange(t *testing.T) {
	g := newRig(t)
	g.start()
	old := newCounting(t, "0")
	g.endpoints("a", "web", addressOf(old.Server))
	g.applied(g.routes("a", web("a.test", "/", "web")))

	load := startLoad(g, 200)
	for i := 1; i <= 6; i++ {
		next := newCounting(t, fmt.Sprint(i))
		g.applied(g.endpoints("a", "web", addressOf(next.Server)))
		old.Close() // harsher than Swarm, which waits two seconds more
		g.until("the new instance serves", func() bool { return next.served.Load() > 20 })
		old = next
	}
	sent, failed := load.stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests were lost:\n%s", len(failed), sent, strings.Join(failed, "\n"))
	}
	t.Logf("%d requests", sent)
}

// A connection that a client keeps alive stays open through every change behind it: an nginx that closes it
// may close it over a request that is on its way.
func TestRouter_KeptConnectionsSurviveChanges(t *testing.T) {
	g := newRig(t)
	g.start()
	g.endpoints("a", "web", addressOf(backend(t, "0")))
	g.applied(g.routes("a", web("a.test", "/", "web")))
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for i := 1; i <= 5; i++ {
		g.applied(g.endpoints("a", "web", addressOf(backend(t, fmt.Sprint(i)))))
		if i == 3 { // the server itself is another one from here on
			g.halt()
			g.start()
		}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("after %d changes: %v", i, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasPrefix(string(body), fmt.Sprint(i, " GET / ")) || response.Close {
			t.Errorf("after %d changes: %q %v, closed: %v", i, body, err, response.Close)
		}
	}
}

// load sends requests until stop: GETs on kept connections, GETs and POSTs of a megabyte on new ones.
type load struct {
	wg     sync.WaitGroup
	quit   chan struct{}
	mu     sync.Mutex
	sent   int
	failed []string
}

func startLoad(g *rig, perSecond int) *load {
	l := &load{quit: make(chan struct{})}
	body := make([]byte, 1<<20)
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.quit:
				return
			case <-tick.C:
			}
			l.wg.Go(func() {
				switch {
				case i%20 == 0:
					l.note(g.request("POST", "a.test", "/", bytes.NewReader(body), "Connection: close"))
				case i%2 == 0:
					l.note(g.request("GET", "a.test", "/", nil, "Connection: close"))
				default:
					l.note(g.request("GET", "a.test", "/", nil))
				}
			})
		}
	})
	return l
}

func (l *load) note(response *http.Response, body string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.failed = append(l.failed, err.Error())
	} else if response.StatusCode != 200 || response.Request.Method == "POST" && !strings.HasSuffix(body, " 1048576") {
		l.failed = append(l.failed, response.Request.Method+" "+response.Status+" "+body)
	}
}

func (l *load) stop() (sent int, failed []string) {
	close(l.quit)
	l.wg.Wait()
	return l.sent, l.failed
}

// A body that takes longer than the whole rollout arrives at the new instance: the old worker, which
// knows the old one alone, hands the request over.
func TestRouter_SlowUploadOutlivesARollout(t *testing.T) {
	g := newRig(t)
	g.start()
	one, two := newCounting(t, "one"), newCounting(t, "two")
	g.endpoints("a", "web", addressOf(one.Server))
	g.applied(g.routes("a", web("a.test", "/in/", "web")))
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	half := strings.Repeat("x", 200<<10)
	fmt.Fprintf(c, "POST /in/put?a=b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", 2*len(half), half)
	g.applied(g.endpoints("a", "web", addressOf(two.Server)))
	one.Close()
	fmt.Fprint(c, half)
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.HasSuffix(string(answer), fmt.Sprint("two ", 2*len(half))) {
		t.Errorf("%v %s", err, answer)
	}
	if one.served.Load() != 0 || two.served.Load() != 1 {
		t.Errorf("served %d and %d times", one.served.Load(), two.served.Load())
	}
}

// What may have done something is not done again; what asks only is.
func TestRouter_APostIsNotReplayed(t *testing.T) {
	g := newRig(t)
	g.start()
	var broken atomic.Int64
	bad := serve(t, func(w http.ResponseWriter, r *http.Request) {
		broken.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.Close()
		}
	})
	good := newCounting(t, "good")
	g.endpoints("a", "web", bad)
	g.applied(g.routes("a", web("a.test", "/", "web")))
	response, _, err := g.request("POST", "a.test", "/", strings.NewReader("once"))
	if err != nil || response.StatusCode != 502 || broken.Load() != 1 {
		t.Errorf("POST: %v %v, arrived %d times", response, err, broken.Load())
	}
	g.applied(g.endpoints("a", "web", bad, addressOf(good.Server)))
	for range 4 {
		g.expect("a.test", "/", 200, "good 0")
	}
	t.Run("a refused connection is not a replay", func(t *testing.T) {
		g.applied(g.endpoints("a", "web", freeAddr(t), addressOf(good.Server)))
		for range 4 {
			response, body, err := g.request("POST", "a.test", "/", strings.NewReader("once"))
			if err != nil || response.StatusCode != 200 || body != "good 4" {
				t.Errorf("POST: %v %q", err, body)
			}
		}
	})
}
