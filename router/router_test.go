package router

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

func TestRouter_ServesRoutesAsLAINDid(t *testing.T) {
	g := newRig(t)
	g.start()
	one, api := backend(t, "web"), backend(t, "api")
	g.endpoints("hello", "web", addressOf(one))
	g.endpoints("hello", "api", addressOf(api))
	seen := g.applied(g.routes("hello", web("h.test", "/", "web"), web("h.test", "/api/", "api"),
		web("h.test", "/api/v2/", "web"), web("h.test", "/gone/", "gone"), web("part.test", "/x/", "web")))
	if len(seen.Refused) != 0 {
		t.Fatalf("refused: %v", seen.Refused)
	}
	g.expect("h.test", "/", 200, "web GET / ")
	g.expect("h.test", "/a%2Fb//c?d=e%20f", 200, "web GET /a%2Fb//c?d=e%20f ")
	g.expect("h.test", "/api/x?q=1", 200, "api GET /x?q=1 ")
	g.expect("h.test", "/api/", 200, "api GET / ")
	g.expect("h.test", "/api/v2/y", 200, "web GET /y ")
	g.expect("h.test", "/apix", 200, "web GET /apix ")
	g.expect("h.test", "/gone/", 503, "Not available")
	g.expect("part.test", "/x/y", 200, "web GET /y ")
	g.expect("part.test", "/", 404, "Nothing here")
	g.expect("nobody.test", "/", 404, "No application here")
	response, _ := g.get("h.test", "/api?q=1")
	if response.StatusCode != 301 || response.Header.Get("Location") != "/api/?q=1" {
		t.Errorf("/api: %d %q", response.StatusCode, response.Header.Get("Location"))
	}
	if s := response.Header.Get("Server"); s != "nginx" {
		t.Errorf("Server: %q names a version", s)
	}
	response, body := g.get("nobody.test", "/")
	if response.Header.Get("Content-Type") != "text/html" || strings.Contains(body, "nginx") {
		t.Errorf("the unknown page: %q %q", response.Header.Get("Content-Type"), body)
	}
}

func TestRouter_HeadersCannotBeForged(t *testing.T) {
	g := newRig(t)
	g.start()
	g.endpoints("hello", "web", addressOf(backend(t, "web")))
	g.applied(g.routes("hello", web("h.test", "/a/", "web")))
	_, body := g.get("h.test:8080", "/a/b?c=d", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Forwarded-Proto: https",
		"X-Request-ID: forged", "X-Lain-User: root", "X-Forwarded-Host: evil", "Forwarded: for=6.6.6.6", "Proxy: evil",
		"Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "X-Own: kept")
	for _, want := range []string{"web GET /b?c=d ", "Host: h.test:8080\n", "X-Real-Ip: 127.0.0.1\r\n", "X-Forwarded-For: 127.0.0.1\r\n",
		"X-Forwarded-Proto: http\r\n", "X-Forwarded-Host: h.test:8080\r\n", "X-Original-Uri: /a/b?c=d\r\n", "X-Own: kept\r\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("missing %q in:\n%s", want, body)
		}
	}
	if regexp.MustCompile(`6\.6\.6\.6|forged|X-Lain|evil|h2c|Upgrade`).MatchString(body) {
		t.Errorf("a forged header arrived:\n%s", body)
	}
	if !regexp.MustCompile(`X-Request-Id: [0-9a-f]{32}\r\n`).MatchString(body) {
		t.Errorf("no request id:\n%s", body)
	}
}

func TestRouter_WebSocketOutlivesAReload(t *testing.T) {
	g := newRig(t)
	g.start()
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	g.endpoints("hello", "web", echo)
	g.applied(g.routes("hello", web("h.test", "/ws/", "web")))
	c, _, err := (&websocket.Dialer{}).Dial("ws://"+g.addr+"/ws/", http.Header{"Host": {"h.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, message := range []string{"before", "after"} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != message {
			t.Fatalf("%s: %q %v", message, got, err)
		}
		g.applied(g.endpoints("other", message, "127.0.0.1:9"))
		g.applied(g.routes("other", web("o.test", "/"+message+"/", message)))
	}
}

func TestRouter_AccessLogIsJSON(t *testing.T) {
	g := newRig(t)
	g.start()
	g.endpoints("hello", "web", addressOf(backend(t, "web")))
	g.applied(g.routes("hello", web("h.test", "/", "web"), web("h.test", "/empty/", "gone")))
	g.get("h.test", `/x?y="z\`, "User-Agent: \"quoted\\ \x80\tagent")
	g.get("h.test", "/empty/")
	g.get("nobody.test", "/")
	var lines []map[string]any
	g.until("three lines in the access log", func() bool {
		data, err := os.ReadFile(g.router.nginx.Files.AccessLog)
		lines = nil
		for line := range bytes.Lines(data) {
			entry := map[string]any{}
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			lines = append(lines, entry)
		}
		return err == nil && len(lines) == 3
	})
	first := lines[0]
	for key, want := range map[string]any{"app": "hello", "proc": "web", "status": 200.0, "host": "h.test", "method": "GET", "upstream_status": "200"} {
		if first[key] != want {
			t.Errorf("%s: %v, want %v", key, first[key], want)
		}
	}
	for _, key := range []string{"time", "uri", "request_time", "upstream_response_time", "bytes_in", "bytes_out", "request_id", "client"} {
		if first[key] == nil || first[key] == "" {
			t.Errorf("%s is empty", key)
		}
	}
	if lines[1]["status"] != 503.0 || lines[1]["proc"] != "gone" || lines[2]["status"] != 404.0 || lines[2]["app"] != "" {
		t.Errorf("503 and 404: %v", lines[1:])
	}
}

func TestRouter_RefusedRoutesKeepTheLastGoodOnes(t *testing.T) {
	g := newRig(t)
	g.start(poisoned)
	g.endpoints("a", "web", addressOf(backend(t, "a")))
	g.endpoints("b", "web", addressOf(backend(t, "b")))
	g.endpoints("c", "web", addressOf(backend(t, "c")))
	g.routes("a", web("a.test", "/", "web"))
	g.applied(g.routes("b", web("b.test", "/", "web")))

	t.Run("nginx says no", func(t *testing.T) {
		g.routes("c", web("c.test", "/", "web"))
		g.applied(g.routes("b", web("b2.test", "/", "web"), web("poison.test", "/", "web")))
		seen := g.applied(g.routes("a", web("a2.test", "/", "web")))
		if got := seen.Refused["b"]; !strings.Contains(got, `nginx refuses its routes: unknown directive "poison"`) || len(seen.Refused) != 1 {
			t.Errorf("refused: %q", seen.Refused)
		}
		g.expect("a2.test", "/", 200, "a GET")
		g.expect("b.test", "/", 200, "b GET")
		g.expect("c.test", "/", 200, "c GET")
		g.expect("b2.test", "/", 404, "")
	})
	t.Run("the last good routes are known after a restart", func(t *testing.T) {
		g.halt()
		g.start(poisoned)
		seen := g.applied(g.endpoints("b", "web", addressOf(backend(g.t, "b-new"))))
		if seen.Refused["b"] == "" {
			t.Errorf("refused: %q", seen.Refused)
		}
		g.expect("b.test", "/", 200, "b-new GET")
	})
	t.Run("rules say no", func(t *testing.T) {
		secure := web("b3.test", "/", "web")
		secure.HTTPSOnly = true
		g.routes("b", secure)
		seen := g.applied(g.routes("c", web("c.test", "/", "web"), web("a2.test", "/c/", "web")))
		if !strings.Contains(seen.Refused["b"], "there is no certificate for b3.test") {
			t.Errorf("b: %q", seen.Refused["b"])
		}
		if !strings.Contains(seen.Refused["c"], "a2.test is already served for the application a") {
			t.Errorf("c: %q", seen.Refused["c"])
		}
		g.expect("b.test", "/", 200, "b-new GET")
		g.expect("c.test", "/", 200, "c GET")
		g.expect("a2.test", "/c/", 200, "a GET /c/")
	})
	t.Run("better routes are taken, removed ones go", func(t *testing.T) {
		rev, err := state.Of[lain.AppRoutes](g.store, lain.RoutesPrefix).Delete(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		g.applied(rev)
		if seen := g.applied(g.routes("b", web("b4.test", "/", "web"))); len(seen.Refused) != 0 {
			t.Errorf("refused: %q", seen.Refused)
		}
		g.expect("b4.test", "/", 200, "b-new GET")
		g.expect("b.test", "/", 404, "")
		g.expect("c.test", "/", 404, "")
	})
}
