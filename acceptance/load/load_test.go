package load

import (
	"bufio"
	"crypto/sha256"
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

	"github.com/gorilla/websocket"
)

// server answers like a well-behaved application; handler may take a request over by returning true.
func server(t *testing.T, handler func(http.ResponseWriter, *http.Request) bool) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case handler != nil && handler(w, r):
		case r.Method == "POST":
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%x %d\n", sha256.Sum256(body), len(body))
		default:
			fmt.Fprintf(w, "v1\nhost\n")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, s *httptest.Server, o Options) *Load {
	t.Helper()
	o.Addr = s.Listener.Addr().String()
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Stop() })
	return l
}

// until waits for the count to fulfil cond, then stops the load.
func until(t *testing.T, l *Load, cond func(Result) bool) Result {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !cond(l.Now()) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain; the count is\n%s", l.Now())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return l.Stop()
}

func sent(n int) func(Result) bool { return func(r Result) bool { return r.Sent >= n } }

func check(t *testing.T, r Result, lost int) {
	t.Helper()
	if r.Sent != r.OK+r.Lost {
		t.Errorf("%d sent is not %d answered and %d lost", r.Sent, r.OK, r.Lost)
	}
	if r.Lost != lost {
		t.Errorf("%d lost, want %d:\n%s", r.Lost, lost, r)
	}
}

func TestLoad_NothingIsLostOnAGoodServer(t *testing.T) {
	var fresh, total atomic.Int64
	s := server(t, func(_ http.ResponseWriter, r *http.Request) bool {
		total.Add(1)
		if r.Close {
			fresh.Add(1)
		}
		return false
	})
	r := until(t, start(t, s, Options{Rate: 400, PostEvery: 20}), sent(200))
	check(t, r, 0)
	if int(total.Load()) != r.Sent {
		t.Errorf("the server saw %d requests, %d were counted", total.Load(), r.Sent)
	}
	if half := int64(r.Sent / 2); fresh.Load() < half-10 || fresh.Load() > half+10 {
		t.Errorf("%d of %d requests came over connections of their own, want half", fresh.Load(), r.Sent)
	}
	if r.Versions["v1"] != r.OK-r.Sent/20 {
		t.Errorf("versions %v do not add up to the GETs of %d", r.Versions, r.OK)
	}
}

func TestLoad_KeptConnectionsAreUsedAgain(t *testing.T) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "v1") }))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	r := until(t, start(t, s, Options{Rate: 100}), sent(100))
	check(t, r, 0)
	if n := int(conns.Load()); n > r.Sent/2+20 {
		t.Errorf("%d connections for %d requests, want about half", n, r.Sent)
	}
}

// The very thing that net/http's client would hide: a reused connection closed instead of an answer.
func TestLoad_CountsEachLossOnce(t *testing.T) {
	var seen, dropped atomic.Int64
	var known sync.Map // connections that have had an answer already
	s := server(t, func(w http.ResponseWriter, r *http.Request) bool {
		_, again := known.LoadOrStore(r.RemoteAddr, true)
		if r.Close || !again || seen.Add(1)%10 != 0 {
			return false
		}
		dropped.Add(1)
		c, _, _ := w.(http.Hijacker).Hijack()
		_ = c.Close()
		return true
	})
	r := until(t, start(t, s, Options{Rate: 400}), sent(200))
	check(t, r, int(dropped.Load()))
	if dropped.Load() == 0 || r.Reasons["kept-alive connection closed instead of an answer"] != r.Lost {
		t.Errorf("reasons are %v, want all %d for the kept-alive connection", r.Reasons, dropped.Load())
	}
}

func TestLoad_IdleConnectionsClosedByTheServerAreNoLoss(t *testing.T) {
	var answered atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go oneAnswerEach(l, &answered)
	load, err := Start(t.Context(), Options{Addr: l.Addr().String(), Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	check(t, until(t, load, sent(50)), 0)
}

// oneAnswerEach answers one request per connection without saying that it will close it, and closes it.
func oneAnswerEach(l net.Listener, answered *atomic.Int64) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			answered.Add(1)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nv1\n")
		}
		_ = c.Close()
	}
}

func TestLoad_BadAnswersAreLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      Options
		answer func(http.ResponseWriter)
		why    string
	}{
		{"status", Options{}, func(w http.ResponseWriter) { w.WriteHeader(502) }, "GET: status 502"},
		{"cut body", Options{}, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("v1"))
		}, "read the body of an answer: connection closed"},
		{"wrong proof", Options{PostEvery: 1, PostBytes: 10}, func(w http.ResponseWriter) { fmt.Fprintln(w, "abc 10") }, "POST: the body did not arrive as it was sent"},
		{"no answer", Options{Timeout: 500 * time.Millisecond}, func(http.ResponseWriter) { time.Sleep(time.Second) }, "wait for an answer: timed out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := server(t, func(w http.ResponseWriter, _ *http.Request) bool { c.answer(w); return true })
			r := until(t, start(t, s, c.o), sent(10))
			check(t, r, r.Sent)
			if r.Reasons[c.why] != r.Lost {
				t.Errorf("reasons are %v, want %q", r.Reasons, c.why)
			}
		})
	}
}

func TestLoad_NobodyListens(t *testing.T) {
	s := server(t, nil)
	s.Close()
	r := until(t, start(t, s, Options{}), sent(5))
	check(t, r, r.Sent)
	if r.Reasons["connect: connection refused"] != r.Lost {
		t.Errorf("reasons are %v", r.Reasons)
	}
}

func TestLoad_AStallDelaysNoOtherRequest(t *testing.T) {
	release := make(chan struct{})
	var first atomic.Bool
	s := server(t, func(_ http.ResponseWriter, _ *http.Request) bool {
		if first.CompareAndSwap(false, true) {
			<-release
		}
		return false
	})
	l := start(t, s, Options{Rate: 200})
	deadline := time.Now().Add(2 * time.Minute)
	for l.Now().OK < 50 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	close(release)
	r := l.Stop()
	check(t, r, 0)
	if r.OK < 50 || r.Max < 100*time.Millisecond {
		t.Errorf("the stall does not show: %s", r)
	}
}

// socketServer echoes; after n messages it ends the websocket by end.
func socketServer(t *testing.T, n int, end func(*websocket.Conn)) *httptest.Server {
	t.Helper()
	return server(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/ws" {
			return false
		}
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return true
		}
		defer c.Close()
		for range n {
			kind, m, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, m) != nil {
				return true
			}
		}
		end(c)
		return true
	})
}

func TestSocket_CleanCloseIsNoLoss(t *testing.T) {
	s := socketServer(t, 3, func(c *websocket.Conn) {
		bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "going away")
		_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		_, _, _ = c.ReadMessage() // the answer to it, or a message that crossed it
		_, _, _ = c.ReadMessage()
	})
	r := until(t, start(t, s, Options{Sockets: 1, SocketEvery: time.Millisecond}), func(r Result) bool { return r.Sockets.Closed >= 3 })
	if r.AllLost() != 0 || r.Sockets.OK < 9 || r.Sockets.Sent > r.Sockets.OK+r.Sockets.Unanswered {
		t.Errorf("count is %+v", r)
	}
}

func TestSocket_CutIsALoss(t *testing.T) {
	s := socketServer(t, 3, func(*websocket.Conn) {})
	r := until(t, start(t, s, Options{Sockets: 1, SocketEvery: time.Millisecond}), func(r Result) bool { return r.Sockets.Lost >= 3 })
	if r.Lost != 0 || r.Sockets.Closed != 0 {
		t.Errorf("count is %+v", r)
	}
}

func TestSocket_RefusedIsALoss(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ws" {
			w.WriteHeader(502)
		}
		return r.URL.Path == "/ws"
	})
	r := until(t, start(t, s, Options{Sockets: 1, SocketEvery: time.Millisecond}), func(r Result) bool { return r.Sockets.Lost >= 2 })
	if r.Reasons["websocket: status 502"] != r.Sockets.Lost {
		t.Errorf("reasons are %v", r.Reasons)
	}
}

func TestResult_String(t *testing.T) {
	r := Result{
		Sent: 3, OK: 2, Lost: 1, P50: time.Millisecond, P99: 2 * time.Millisecond, Max: 2500 * time.Microsecond,
		Versions: map[string]int{"v1": 1, "v2": 1}, Reasons: map[string]int{"GET: status 502": 1},
		Sockets: SocketResult{Sent: 5, OK: 4, Closed: 1},
	}
	want := strings.TrimLeft(`
requests   3 sent, 2 answered, 1 lost
latency    p50 1.0 ms, p99 2.0 ms, worst 2.5 ms
websockets 5 messages, 4 back, 1 closed cleanly by the server, 0 lost
answered   1 times "v1"
answered   1 times "v2"
lost       1: GET: status 502
`, "\n")
	if got := r.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRank(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for percent, want := range map[int]time.Duration{50: 50, 99: 99, 100: 100} {
		if got := rank(hundred, percent); got != want {
			t.Errorf("rank %d of 1..100 is %d, want %d", percent, got, want)
		}
	}
	if rank(nil, 99) != 0 {
		t.Error("rank of none is not 0")
	}
}
