package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestStream_WholeOrLost(t *testing.T) {
	for how, c := range map[string]struct {
		lines int
		text  string
		cut   bool
		why   string
	}{
		"whole":     {10, "line %d of 10\n", false, ""},
		"too short": {7, "line %d of 10\n", false, "stream: it ended too soon"},
		"broken":    {7, "line %d of 10\n", true, "stream: read the body of an answer: connection closed"},
		"different": {10, "line %d of 11\n", false, "stream: a line is not what was sent"},
	} {
		s := server(t, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/stream" || r.FormValue("s") != "1" {
				return false
			}
			for i := range c.lines {
				fmt.Fprintf(w, c.text, i+1)
				_ = http.NewResponseController(w).Flush()
			}
			if c.cut {
				panic(http.ErrAbortHandler)
			}
			return true
		})
		r := until(t, start(t, s, Options{Streams: 1, StreamSeconds: 1}), func(r Result) bool { return r.Streams.OK+r.Streams.Lost >= 3 })
		if r.Lost != 0 || (c.why == "") != (r.Streams.Lost == 0) || r.Reasons[c.why] != r.Streams.Lost {
			t.Errorf("%s: %+v", how, r)
		}
	}
}

// callServer speaks HTTP/2 without TLS.
func callServer(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestCalls(t *testing.T) {
	for how, c := range map[string]struct {
		status string
		more   string
		code   int
		why    string
	}{
		"well":         {"0", "", 200, ""},
		"a status":     {"14", "", 200, `call: status "14" of gRPC`},
		"an answer":    {"0", "more", 200, "call: the answer differs"},
		"no call":      {"", "", 502, "call: status 502"},
		"no such mark": {"", "", 200, `call: status "" of gRPC`},
	} {
		addr := callServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 || r.Host != "app.test" || r.URL.Path != "/lain.Echo/Say" || r.Header.Get("Content-Type") != "application/grpc" {
				t.Errorf("%s %s of %s in %s", r.Method, r.URL, r.Host, r.Proto)
			}
			w.Header().Set("Trailer", "Grpc-Status")
			w.WriteHeader(c.code)
			_, _ = io.Copy(w, r.Body)
			_, _ = io.WriteString(w, c.more)
			w.Header().Set("Grpc-Status", c.status)
		})
		s := server(t, nil)
		r := until(t, start(t, s, Options{Host: "app.test", CallAddr: addr, Callers: 2, CallEvery: time.Millisecond}), func(r Result) bool { return r.Calls.OK+r.Calls.Lost >= 20 })
		if r.Lost != 0 || r.Calls.Sent != r.Calls.OK+r.Calls.Lost || (c.why == "") != (r.Calls.Lost == 0) || r.Reasons[c.why] != r.Calls.Lost {
			t.Errorf("%s: %+v", how, r)
		}
	}
	if _, err := Start(t.Context(), Options{Addr: "127.0.0.1:1", Callers: 1}); err == nil {
		t.Error("callers without an address were taken")
	}
}
