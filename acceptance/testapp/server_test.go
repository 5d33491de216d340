package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// start serves with the options and returns the address and what SIGTERM does: it returns serve's error.
func start(t *testing.T, o options) (string, func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, o) }()
	stop := func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(drainTime + 5*time.Second):
			return fmt.Errorf("did not end")
		}
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRoutes(t *testing.T) {
	t.Setenv("TESTAPP_MARK", "blue")
	addr, _ := start(t, options{version: "v7"})
	refused := "127.0.0.1:1"
	for _, c := range []struct {
		path string
		code int
		want string // part of the body
	}{
		{"/", 200, "v7\n"},
		{"/healthz", 200, "ok"},
		{"/slow?ms=5", 200, "v7"},
		{"/slow?ms=x", 400, "not a number"},
		{"/stream?s=0", 200, ""},
		{"/env?k=TESTAPP_MARK", 200, "blue"},
		{"/env?k=TESTAPP_NONE", 404, "not set"},
		{"/dial?addr=" + addr, 200, "ok"},
		{"/dial?addr=" + refused, 200, "error: "},
		{"/fetch?url=http://" + addr + "/healthz", 200, "200 OK\nok"},
		{"/fetch?url=http://" + refused, 200, "error: "},
		{"/log?n=2", 200, "printed 2 lines"},
		{"/nothing", 404, ""},
	} {
		if code, body := get(t, "http://"+addr+c.path); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("GET %s: %d %q, want %d with %q", c.path, code, body, c.code, c.want)
		}
	}
}

func TestEcho(t *testing.T) {
	addr, _ := start(t, options{})
	body := bytes.Repeat([]byte("lain"), 1<<18)
	resp, err := http.Post("http://"+addr+"/echo", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	if want := fmt.Sprintf("%x %d\n", sha256.Sum256(body), len(body)); string(got) != want {
		t.Errorf("echo said %q, want %q", got, want)
	}
}

func TestUnhealthy(t *testing.T) {
	addr, _ := start(t, options{unhealthy: true})
	if code, _ := get(t, "http://"+addr+"/healthz"); code != 500 {
		t.Errorf("healthz answered %d, want 500", code)
	}
}

func TestNeeds(t *testing.T) {
	addr, stop := start(t, options{})
	base := "http://" + addr + "/healthz"
	if err := ask(t.Context(), base, "start"); err != nil {
		t.Error(err)
	}
	if code, err := run(t.Context(), options{needs: base + "/nowhere"}); code != needGone || err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a need that answers 404: %d, %v", code, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if code, err := run(t.Context(), options{needs: base}); code != needGone || err == nil {
		t.Errorf("a need that is gone: %d, %v", code, err)
	}
}

func TestSick(t *testing.T) {
	addr, _ := start(t, options{version: "v1"})
	ask := func(path string, want int) string {
		t.Helper()
		code, body := get(t, "http://"+addr+path)
		if code != want {
			t.Errorf("GET %s: %d, want %d", path, code, want)
		}
		return strings.TrimSpace(body)
	}
	ask("/", 200)
	ask("/sick?n=2", 200)
	ask("/", 500)
	ask("/", 500)
	if got, want := ask("/sickness", 200), `{"failed":0,"requests":[2,0,0],"last_ms":0,"since":0}`; got != want {
		t.Errorf("it counted %s, want %s", got, want)
	}
	ask("/healthz", 500)
	ask("/nothing", 500)
	ask("/healthz", 500)
	ask("/healthz", 200)
	ask("/", 200)
	if got := ask("/sickness", 200); !strings.HasPrefix(got, `{"failed":2,"requests":[2,1,0],"last_ms":`) || !strings.HasSuffix(got, `,"since":1}`) ||
		strings.Contains(got, `"last_ms":0`) {
		t.Errorf("it counted %s", got)
	}
	ask("/sick?n=9&only=health", 200)
	ask("/", 200)
	ask("/healthz", 500)
	ask("/sick?n=0", 200)
	ask("/healthz", 200)
}

func TestDrain_FinishesWhatIsInFlight(t *testing.T) {
	addr, stop := start(t, options{version: "v1"})
	inFlight := make(chan string, 1)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /stream?s=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil { // the handler is running now
		t.Fatal(err)
	}
	go func() {
		all, _ := io.ReadAll(conn)
		inFlight <- string(all)
	}()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if body := <-inFlight; !strings.Contains(body, "line 10 of 10") {
		t.Errorf("the request in flight was cut: %q", body)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening after the drain")
	}
}

func TestDrain_TellsWebsocketsThatItGoesAway(t *testing.T) {
	addr, stop := start(t, options{})
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != "hi" {
		t.Fatalf("echo: %q, %v", got, err)
	}
	closed := make(chan error, 1)
	go func() {
		_, _, err := conn.ReadMessage()
		closed <- err
	}()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the websocket ended with %v, want a close frame that says going away", err)
	}
}

func TestParse(t *testing.T) {
	env := func(kv map[string]string) func(string) string { return func(k string) string { return kv[k] } }
	o, err := parse([]string{"-delay", "3s", "-lines", "7"}, env(map[string]string{"PORT": "81", "VERSION": "v3"}))
	if err != nil || o.port != 81 || o.version != "v3" || o.delay != 3*time.Second || o.lines != 7 {
		t.Errorf("parsed %+v, %v", o, err)
	}
	if o, _ := parse(nil, env(nil)); o.port != 8080 || o.version != "v0" {
		t.Errorf("without anything: %+v", o)
	}
	if _, err := parse(nil, env(map[string]string{"PORT": "http"})); err == nil {
		t.Error("PORT=http was taken")
	}
}

func TestPrintLines(t *testing.T) {
	var b bytes.Buffer
	printLines(&b, 2)
	if b.String() != "line 1 of 2\nline 2 of 2\n" {
		t.Errorf("printed %q", b.String())
	}
}

func TestPrintFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-print-file", path, "-print-file", "/nowhere"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	printFiles(&b, o.show)
	if got, want := b.String(), path+": content\n/nowhere: open /nowhere: no such file or directory\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// A call of gRPC comes back message by message, and HTTP/1.1 is spoken as well.
func TestSay(t *testing.T) {
	addr, _ := start(t, options{version: "v1"})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	for body, status := range map[string]string{"\x00\x00\x00\x00\x02hi\x00\x00\x00\x00\x00": "0", "": "0", "\x00\x00\x00\x00\x09hi": "13", "\x00\xff\xff\xff\xff": "13"} {
		resp, err := client.Post("http://"+addr+"/lain.Echo/Say", "application/grpc", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.Trailer.Get("Grpc-Status") != status || status == "0" && string(back) != body {
			t.Errorf("%q: %q, %v, status %q", body, back, err, resp.Trailer.Get("Grpc-Status"))
		}
	}
	if code, _ := get(t, "http://"+addr+"/"); code != 200 {
		t.Errorf("HTTP/1.1: %d", code)
	}
}
