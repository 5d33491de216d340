package probe

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// brain is a memory for tests.
type brain struct{ known, sick bool }

func (b *brain) succeeded() bool    { return b.known }
func (b *brain) failing() bool      { return b.sick }
func (b *brain) remember(well bool) { b.known, b.sick = b.known || well, !well }

// probe asks with these arguments and no memory.
func probe(t *testing.T, args ...string) (line string, well bool) {
	t.Helper()
	q, err := parse(args)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return q.ask(&brain{}, func(time.Duration) { t.Error("it sleeps before the first success") })
}

func TestHTTPAnswers(t *testing.T) {
	asked := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
	}))
	defer server.Close()
	for status, want := range map[int]bool{200: true, 204: true, 301: true, 302: true, 399: true, 400: false, 404: false, 500: false, 503: false} {
		line, well := probe(t, "--http", server.URL+"/"+strconv.Itoa(status)+"?a=b")
		r := <-asked
		if well != want || !strings.Contains(line, "GET "+server.URL+"/") || !strings.Contains(line, strconv.Itoa(status)) {
			t.Errorf("%d: %v, %q", status, well, line)
		}
		if r.Host != "localhost" || r.URL.RawQuery != "a=b" || r.Method != http.MethodGet {
			t.Errorf("asked for %s %s of host %s", r.Method, r.URL, r.Host)
		}
	}
}

// raw answers every connection with text, and keeps it open if hold.
func raw(t *testing.T, text string, hold bool) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { close(done); _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 1000))
				_, _ = io.WriteString(conn, text)
				if hold {
					<-done
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestOddAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		hold bool
		well bool
		line string
	}{
		"early hints first":    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false, true, "204 No Content"},
		"HTTP/1.0, no reason":  {"HTTP/1.0 200\r\n\r\n", false, true, "200"},
		"stays open":           {"HTTP/1.1 200 OK\r\n", true, true, "200 OK"},
		"not HTTP":             {"SSH-2.0-x\r\n", false, false, "the answer is not HTTP"},
		"a line without end":   {strings.Repeat("x", maxHead+10), false, false, "the answer is not HTTP"},
		"closed at once":       {"", false, false, "closed without an answer"},
		"hangs":                {"", true, false, "no answer in time"},
		"hangs in hints":       {"HTTP/1.1 100 Continue\r\n", true, false, "no answer in time"},
		"control bytes within": {"HTTP/1.1 500 \x1b[31mred\r\n\r\n", false, false, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			line, well := probe(t, "--timeout=200ms", "--http=http://"+raw(t, c.text, c.hold)+"/x")
			if well != c.well || !strings.Contains(line, c.line) {
				t.Errorf("%v, %q", well, line)
			}
		})
	}
}

func TestTCP(t *testing.T) {
	address := raw(t, "", true)
	if line, well := probe(t, "--tcp", address); !well || line != "connect to "+address+": open" {
		t.Errorf("%v, %q", well, line)
	}
	if line, well := probe(t, "--tcp", "127.0.0.1:1"); well || line != "connect to 127.0.0.1:1: connection refused" {
		t.Errorf("%v, %q", well, line)
	}
}

func TestSelfIsNotLoopback(t *testing.T) {
	own := ownAddress()
	if own == "127.0.0.1" {
		t.Fatal("this machine has no address but loopback")
	}
	address := raw(t, "HTTP/1.1 200 OK\r\n\r\n", false)
	_, port, _ := net.SplitHostPort(address)
	line, well := probe(t, "--http", "http://self:"+port+"/")
	if well || !strings.Contains(line, own) || !strings.Contains(line, "listen on 0.0.0.0 instead of 127.0.0.1") {
		t.Errorf("%v, %q", well, line)
	}
}

func TestCommand(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		well   bool
		line   string
	}{
		"well":             {"echo one; echo all is well", true, "sh: exit 0: all is well"},
		"unwell":           {"echo no database >&2; exit 3", false, "sh: exit 3: no database"},
		"silent":           {"exit 1", false, "sh: exit 1"},
		"killed":           {"kill -9 $$", false, "signal: killed"},
		"hangs":            {"echo waiting; sleep 60", false, "sh: not finished in time: waiting"},
		"leaves something": {"sleep 60 & echo fine", true, "sh: exit 0: fine"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			line, well := probe(t, "--timeout", "500ms", "--exec", "--", "sh", "-c", c.script)
			if well != c.well || !strings.Contains(line, c.line) {
				t.Errorf("%v, %q", well, line)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	if line, well := probe(t, "--exec", "--", "/no/such"); well || !strings.Contains(line, "no such file") {
		t.Errorf("%v, %q", well, line)
	}
}

func TestSleepsOnlyAfterTheFirstSuccess(t *testing.T) {
	var slept []time.Duration
	sleep := func(d time.Duration) { slept = append(slept, d) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	q, m := question{tcp: address, timeout: time.Second, interval: 7 * time.Second}, &brain{}

	_ = listener.Close()
	if _, well := q.ask(m, sleep); well || m.known || len(slept) != 0 {
		t.Fatalf("a failure before the first success: well %v, remembered %v, slept %v", well, m.known, slept)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	if _, well := q.ask(m, sleep); !well || !m.known || len(slept) != 0 {
		t.Fatalf("the first success: well %v, remembered %v, slept %v", well, m.known, slept)
	}
	// It dies during the sleep: the question comes after it, so this very probe sees that.
	_, well := q.ask(m, func(d time.Duration) { sleep(d); _ = listener.Close() })
	if well || !m.known || len(slept) != 1 || slept[0] != 7*time.Second {
		t.Fatalf("dead after the sleep: well %v, remembered %v, slept %v", well, m.known, slept)
	}
}

// The first success counts when it has lasted: the same question again, after the time to settle.
func TestSettles(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	q, err := parse([]string{"--tcp", server.Listener.Addr().String(), "--settle", "7s", "--interval", "9s"})
	if err != nil {
		t.Fatal(err)
	}
	var slept []time.Duration
	sleep := func(d time.Duration) { slept = append(slept, d) }
	m := &brain{}
	if _, well := q.ask(m, sleep); !well || !m.known || len(slept) != 1 || slept[0] != 7*time.Second {
		t.Fatalf("the first success: well %v, remembered %v, slept %v", well, m.known, slept)
	}
	if _, well := q.ask(m, sleep); !well || len(slept) != 2 || slept[1] != 9*time.Second {
		t.Fatalf("the next: well %v, slept %v", well, slept)
	}
	m = &brain{}
	line, well := q.ask(m, func(time.Duration) { server.Close() })
	if well || m.known || !strings.Contains(line, "refused") {
		t.Fatalf("it dies while it settles: well %v, remembered %v, %q", well, m.known, line)
	}
	if _, well := q.ask(m, func(time.Duration) { t.Error("a failure sleeps") }); well || m.known {
		t.Fatalf("dead: well %v, remembered %v", well, m.known)
	}
}

func TestAlive(t *testing.T) {
	if line, well := probe(t, "--alive"); !well || line != "the container runs" {
		t.Errorf("%v, %q", well, line)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                        "plain",
		"a\nb\x1b[0mc\x7f\u009bd":      "a b [0mc  d",
		"bad \xff utf-8":               "bad   utf-8",
		strings.Repeat("ä", maxLine):   strings.Repeat("ä", maxLine),
		strings.Repeat("ä", maxLine+1): strings.Repeat("ä", maxLine) + "…",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q", in, got)
		}
	}
}

func TestMainPrintsOneLine(t *testing.T) {
	var out, problem bytes.Buffer
	if code := Main([]string{"--tcp", "127.0.0.1:1", "--interval", "0"}, &out, &problem); code != 1 {
		t.Errorf("exit %d", code)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || problem.Len() != 0 {
		t.Errorf("stdout %q, stderr %q", got, problem.String())
	}
	if code := Main([]string{"--nonsense"}, &out, &problem); code != 1 || problem.Len() == 0 {
		t.Errorf("wrong arguments: exit %d, stderr %q", code, problem.String())
	}
}

// One that was unwell is asked more often, but does not fail more often.
func TestAsksTheUnwellMoreOften(t *testing.T) {
	var asked, good int // the question from which on the answer is a good one
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < good {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	q, err := parse([]string{"--http", server.URL, "--interval", "10s"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		sick         bool // before
		good         int
		well         bool
		asked, slept int
	}{
		{"well", false, 1, true, 1, 1},
		{"the first failure", false, 2, false, 1, 1},
		{"well again at once", true, 1, true, 1, 1},
		{"well again soon", true, 3, true, 3, 3},
		{"well again at last", true, 5, true, 5, 5},
		{"not well again", true, 6, false, 5, 5},
	} {
		var slept []time.Duration
		m := &brain{known: true, sick: c.sick}
		asked, good = 0, c.good
		_, well := q.ask(m, func(d time.Duration) { slept = append(slept, d.Round(time.Second)) })
		if well != c.well || m.sick == well || asked != c.asked || len(slept) != c.slept {
			t.Errorf("%s: well %v, remembered %v, asked %d times, slept %v", c.name, well, !m.sick, asked, slept)
		}
		want := 10 * time.Second
		if c.sick {
			want = 2 * time.Second
		}
		if slept[0] != want || slept[len(slept)-1] != want {
			t.Errorf("%s: slept %v, want %s each time", c.name, slept, want)
		}
	}
}

// What hangs is asked less often: the engine would end a probe that lasts.
func TestAsksTheHangingWithinTheInterval(t *testing.T) {
	address := raw(t, "", true)
	q, err := parse([]string{"--http", "http://" + address, "--interval", "100ms", "--timeout", "200ms"})
	if err != nil {
		t.Fatal(err)
	}
	slept := 0
	if line, well := q.ask(&brain{known: true, sick: true}, func(time.Duration) { slept++ }); well || slept != 1 {
		t.Errorf("well %v, slept %d times, %q", well, slept, line)
	}
}

func TestMemoryOfSegments(t *testing.T) {
	// Keys of the test's own: it shares the IPC namespace with whatever runs on this machine.
	key := segment(0x40000000 + os.Getpid())
	file := mark(filepath.Join(t.TempDir(), "state"))
	m := segments{well: fallback{key, file}, sick: fallback{key + 1, file + "-sick"}}
	t.Cleanup(m.well.remove)
	t.Cleanup(m.sick.remove)
	for i, c := range []struct{ well, succeeded, failing bool }{{true, true, false}, {false, true, true}, {false, true, true}, {true, true, false}, {false, true, true}} {
		m.remember(c.well)
		if m.succeeded() != c.succeeded || m.failing() != c.failing {
			t.Errorf("%d: succeeded %v, failing %v, want %+v", i, m.succeeded(), m.failing(), c)
		}
	}
	if file.there() {
		t.Error("it makes a file where it has segments")
	}
}

func TestMemoryOfAFile(t *testing.T) {
	dir := t.TempDir()
	m := mark(filepath.Join(dir, "state"))
	if m.there() {
		t.Error("it remembers what was not")
	}
	m.make()
	m.make()
	if !m.there() {
		t.Error("it does not remember")
	}
	m.remove()
	m.remove()
	if m.there() {
		t.Error("it does not forget")
	}
	m.make()
	link := mark(filepath.Join(dir, "link"))
	if err := os.Symlink(string(m), string(link)); err != nil {
		t.Fatal(err)
	}
	if link.there() {
		t.Error("it follows a link")
	}
	if link.remove(); !m.there() {
		t.Error("it removes through a link")
	}
	nowhere := mark(filepath.Join(dir, "none", "state"))
	nowhere.make()
	mark("").make()
	if nowhere.there() || mark("").there() {
		t.Error("a memory that is not possible claims to be one")
	}
}

func TestAskHTTPEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if line, well := askHTTP(ctx, target{"127.0.0.1:1", "/"}); well || !strings.Contains(line, "no answer in time") {
		t.Errorf("%v, %q", well, line)
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, seed := range []string{"HTTP/1.1 200 OK", "HTTP/1.0 404", "HTTP/1.1 +20 x", "HTTP/2 200", "", "HTTP/1.1  200"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if status, _, err := parseStatus(line); err == nil && (status < 100 || status > 999) {
			t.Errorf("%q: %d", line, status)
		}
	})
}
