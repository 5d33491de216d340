package router

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
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

	"lain.internal/lain/lain"
	"lain.internal/lain/router/certs/certstest"
)

// tlsRig is a rig whose router ends TLS, with a folder of certificates and an authority.
type tlsRig struct {
	*rig
	ca *certstest.Authority
}

func newTLSRig(t *testing.T) *tlsRig {
	t.Helper()
	g := &tlsRig{rig: newRig(t), ca: certstest.New(t)}
	g.addrTLS, g.certDir = freeAddr(t), filepath.Join(g.dir, "certs")
	if err := os.Mkdir(g.certDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return g
}

// secureClient speaks HTTP/2 to the router, whatever host it is asked for; with old it speaks HTTP/1.1.
func (g *tlsRig) secureClient(old bool) *http.Client {
	config := &tls.Config{RootCAs: g.ca.Pool()}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: !old, MaxIdleConnsPerHost: 32,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", g.addrTLS)
		}}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: 20 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func fetch(client *http.Client, url string) (*http.Response, string, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// post sends a megabyte.
func post(client *http.Client, url string) (*http.Response, string, error) {
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// shows is what a handshake shows for a name: the certificate's hosts and its end.
func (g *tlsRig) shows(host string) (string, error) {
	c, err := tls.Dial("tcp", g.addrTLS, &tls.Config{ServerName: host, RootCAs: g.ca.Pool()})
	if err != nil {
		return "", err
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	return fmt.Sprintf("%v %s", leaf.DNSNames, leaf.NotAfter.UTC().Format(time.DateOnly)), nil
}

func secure(host, path, proc string) lain.Route {
	r := web(host, path, proc)
	r.HTTPSOnly = true
	return r
}

var (
	nextMonth = time.Now().AddDate(0, 1, 0)
	nextYear  = time.Now().AddDate(1, 0, 0)
)

func TestRouterTLS_TheBestCertificateIsShown(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "wild", nextYear, "*.apps.test")
	g.ca.Put(g.certDir, "exact", nextMonth, "a.apps.test", "other.test")
	g.start()
	g.endpoints("a", "web", addressOf(backend(t, "a")))
	g.applied(g.routes("a", web("a.apps.test", "/", "web"), web("b.apps.test", "/", "web"), web("bare.test", "/", "web"), web("x.b.apps.test", "/", "web")))
	for host, want := range map[string]string{
		"a.apps.test": "[a.apps.test other.test] " + nextMonth.UTC().Format(time.DateOnly),
		"b.apps.test": "[*.apps.test] " + nextYear.UTC().Format(time.DateOnly),
	} {
		if got, err := g.shows(host); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", host, got, err, want)
		}
	}
	for _, host := range []string{"bare.test", "x.b.apps.test", "nobody.apps.test", "", "../pairs/x", "..", "-", "10.0.0.1"} {
		c, err := tls.Dial("tcp", g.addrTLS, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if err == nil {
			c.Close()
			t.Errorf("%q: the handshake was not refused", host)
		}
	}
	data, _ := os.ReadFile(filepath.Join(g.dir, "router/edge/logs/error.log"))
	if bytes.Contains(data, []byte("handshak")) {
		t.Errorf("strangers fill the log:\n%s", data)
	}
}

func TestRouterTLS_OldProtocolsAreRefused(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "a", nextYear, "a.test")
	g.start()
	g.applied(g.routes("a", web("a.test", "/", "web")))
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", g.addrTLS, &tls.Config{ServerName: "a.test", RootCAs: g.ca.Pool(), MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
	c, err := tls.Dial("tcp", g.addrTLS, &tls.Config{ServerName: "a.test", RootCAs: g.ca.Pool(), MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}})
	if err == nil {
		c.Close()
		t.Error("a CBC cipher is taken")
	}
}

func TestRouterTLS_HTTPSOnly(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test", "own.test")
	g.start()
	g.endpoints("s", "web", addressOf(backend(t, "s")))
	g.endpoints("own", "web", serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=7")
	}))
	g.routes("own", secure("own.test", "/", "web"))
	g.applied(g.routes("s", secure("s.test", "/", "web"), web("s.test", "/plain/", "web"), secure("s.test", "/gone/", "gone")))
	_, port, _ := net.SplitHostPort(g.addrTLS)
	for _, c := range []struct {
		method, path string
		status       int
	}{{"GET", "/a%2Fb//c?d=e&f=%20", 301}, {"HEAD", "/", 301}, {"POST", "/form?x=1", 308}, {"PUT", "/", 308}, {"DELETE", "/", 308}, {"GET", "//evil.test/", 301}, {"GET", "/gone/x", 301}} {
		response, _, err := g.request(c.method, "s.test:8080", c.path, nil, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test")
		if err != nil || response.StatusCode != c.status || response.Header.Get("Location") != "https://s.test:"+port+c.path {
			t.Errorf("%s %s: %v %v", c.method, c.path, response, err)
		}
		if err == nil && response.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: HSTS over http", c.method, c.path)
		}
	}
	g.expect("s.test", "/plain/", 200, "X-Forwarded-Proto: http\r\n")
	for _, old := range []bool{false, true} {
		client := g.secureClient(old)
		response, body, err := fetch(client, "https://s.test/x?y=z")
		if err != nil || response.StatusCode != 200 || !strings.Contains(body, "s GET /x?y=z ") || !strings.Contains(body, "X-Forwarded-Proto: https\r\n") ||
			!strings.Contains(body, "X-Forwarded-Port: "+port+"\r\n") || !strings.Contains(body, "Host: s.test\n") {
			t.Fatalf("%v %v %s", err, response, body)
		}
		if want := map[bool]int{false: 2, true: 1}[old]; response.ProtoMajor != want {
			t.Errorf("spoke %s", response.Proto)
		}
		for path, want := range map[string]string{"https://s.test/": "[max-age=15552000]", "https://s.test/plain/": "[]", "https://own.test/": "[max-age=7]", "https://s.test/gone/": "[max-age=15552000]"} {
			response, _, err := fetch(client, path)
			if err != nil || fmt.Sprint(response.Header.Values("Strict-Transport-Security")) != want || response.Header.Get("Server") != "nginx" {
				t.Errorf("%s: %v %v", path, err, response)
			}
		}
	}
}

// A name said over a connection may be another one than the handshake's; one that is no name gets a page.
func TestRouterTLS_TheHostIsTheRequests(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.endpoints("s", "web", addressOf(backend(t, "s")))
	g.applied(g.routes("s", secure("s.test", "/", "web"), web("b.test", "/", "web")))
	for host, want := range map[string]string{"s.test": "200 OK", "b.test": "200 OK", "nobody.test": "404 Not Found", "-": "404 Not Found", "10.0.0.1": "404 Not Found"} {
		c, err := tls.Dial("tcp", g.addrTLS, &tls.Config{ServerName: "s.test", RootCAs: g.ca.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.Status != want {
			t.Errorf("%s: %v %v", host, response, err)
		}
		c.Close()
	}
}

func TestRouterTLS_WebSocket(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.endpoints("s", "web", serve(t, func(w http.ResponseWriter, r *http.Request) {
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
	}))
	g.applied(g.routes("s", secure("s.test", "/ws/", "web")))
	c, _, err := (&websocket.Dialer{TLSClientConfig: &tls.Config{ServerName: "s.test", RootCAs: g.ca.Pool()}}).Dial("wss://"+g.addrTLS+"/ws/", http.Header{"Host": {"s.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := edgePID(g.rig)
	for i := range 3 {
		message := fmt.Sprint("message ", i)
		if err := c.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != message {
			t.Fatalf("%q %v", got, err)
		}
		end := nextYear.AddDate(0, 0, i+1)
		g.ca.Put(g.certDir, "s", end, "s.test") // neither another certificate nor another route disturbs it
		g.until("the next certificate is shown", func() bool {
			got, err := g.shows("s.test")
			return err == nil && strings.HasSuffix(got, end.UTC().Format(time.DateOnly))
		})
		g.applied(g.routes("other", web(fmt.Sprintf("o%d.test", i), "/", "web")))
	}
	if edgePID(g.rig) != before {
		t.Error("the edge is another one")
	}
}

// Certificates of every kind change under load, for hosts old and new: nothing is lost, and the edge's workers
// are the ones they were.
func TestRouterTLS_NoRequestIsLostWhenCertificatesChange(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "a", nextMonth, "a.test")
	g.start()
	g.endpoints("a", "web", addressOf(newCounting(t, "a").Server))
	g.applied(g.routes("a", secure("a.test", "/", "web")))
	workers := workerPIDs(t, edgePID(g.rig))
	load := startTLSLoad(g, 60)
	for i := 1; i <= 5; i++ {
		end := nextMonth.AddDate(0, 0, i)
		g.ca.Put(g.certDir, "a", end, "a.test")
		g.ca.Put(g.certDir, fmt.Sprint("new", i), nextYear, fmt.Sprintf("new%d.test", i))
		g.until("the new certificate is shown", func() bool {
			got, err := g.shows("a.test")
			return err == nil && strings.HasSuffix(got, end.UTC().Format(time.DateOnly))
		})
		g.applied(g.routes("b", secure(fmt.Sprintf("new%d.test", i), "/", "web")))
	}
	sent, failed := load.stop()
	if len(failed) > 0 || sent == 0 {
		t.Errorf("%d of %d requests were lost:\n%s", len(failed), sent, strings.Join(failed, "\n"))
	}
	t.Logf("%d requests", sent)
	if got := workerPIDs(t, edgePID(g.rig)); got != workers {
		t.Errorf("the edge's workers were %s and are %s: it was reloaded", workers, got)
	}
}

// weakRSA is a key that Go takes and OpenSSL does not.
func weakRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startTLSLoad sends GETs and a few POSTs over HTTP/2, over kept connections of HTTP/1.1, and over fresh ones, each of the last
// with a handshake of its own.
func startTLSLoad(g *tlsRig, perSecond int) *load {
	l := &load{quit: make(chan struct{})}
	kinds := []*http.Client{g.secureClient(false), g.secureClient(true), g.secureClient(true)}
	kinds[2].Transport.(*http.Transport).DisableKeepAlives = true
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.quit:
				return
			case <-tick.C:
			}
			if i%20 == 0 {
				l.wg.Go(func() { l.note(post(kinds[i%3], "https://a.test/")) })
				continue
			}
			l.wg.Go(func() { l.note(fetch(kinds[i%3], "https://a.test/")) })
		}
	})
	return l
}

func TestRouterTLS_BrokenPairsHarmNobody(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "good", nextYear, "good.test")
	g.ca.Put(g.certDir, "old", time.Now().Add(-time.Hour), "old.test")
	g.ca.Put(g.certDir, "soon", time.Now().AddDate(0, 0, 5), "soon.test")
	g.ca.Put(g.certDir, "mixed", nextYear, "mixed.test")
	_, key := g.ca.Issue(nextYear, []string{"mixed.test"})
	certstest.Write(t, filepath.Join(g.certDir, "mixed.key"), key, 0o600)
	g.ca.Put(g.certDir, "open", nextYear, "open.test")
	if err := os.Chmod(filepath.Join(g.certDir, "open.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	certstest.Write(t, filepath.Join(g.certDir, "alone.crt"), []byte("x"), 0o644)
	weakCrt, weakKey := g.ca.Sign(weakRSA(t), nextYear, []string{"weak.test"})
	certstest.Write(t, filepath.Join(g.certDir, "weak.crt"), weakCrt, 0o644)
	certstest.Write(t, filepath.Join(g.certDir, "weak.key"), weakKey, 0o600)
	g.start()
	g.endpoints("a", "web", addressOf(backend(t, "a")))
	routes := []lain.Route{}
	for _, name := range []string{"good", "old", "soon", "mixed", "open", "weak"} {
		routes = append(routes, web(name+".test", "/", "web"))
	}
	seen := g.applied(g.routes("a", routes...))
	for name, want := range map[string]string{"old": "has expired on", "soon": "ends on", "mixed": "do not make a pair", "open": "chmod 600", "alone": "is missing", "weak": "nginx refuses"} {
		if !strings.Contains(seen.Certificates[name], want) {
			t.Errorf("%s: %q, want %q", name, seen.Certificates[name], want)
		}
	}
	if len(seen.Certificates) != 6 {
		t.Errorf("%q", seen.Certificates)
	}
	for host, ok := range map[string]bool{"good.test": true, "soon.test": true, "old.test": false, "mixed.test": false, "open.test": false, "weak.test": false} {
		if _, err := g.shows(host); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"old.test", "none.test"} {
		if err := g.router.Certified(t.Context(), host); err == nil || !strings.Contains(err.Error(), "no certificate fits "+host+": put one as NAME.crt with its key as NAME.key into "+g.certDir) {
			t.Errorf("%s: %v", host, err)
		}
	}
	t.Run("a new one counts when it is asked for", func(t *testing.T) {
		g.ca.Put(g.certDir, "none", nextYear, "none.test")
		if err := g.router.Certified(t.Context(), "none.test"); err != nil {
			t.Error(err)
		}
	})
}

// A pair that becomes broken, or is being written, leaves the one before it in use, over a restart too. One that
// is taken away is gone, and its https_only routes are still kept from plain http.
func TestRouterTLS_WhatWasGoodStays(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.endpoints("s", "web", addressOf(backend(t, "s")))
	g.applied(g.routes("s", secure("s.test", "/", "web")))
	certstest.Write(t, filepath.Join(g.certDir, "s.crt"), []byte("half"), 0o644)
	g.until("the broken one is told of", func() bool {
		return strings.Contains(g.seen().Certificates["s"], "the one before it is used until")
	})
	if _, err := g.shows("s.test"); err != nil {
		t.Error(err)
	}
	g.halt()
	g.start()
	g.applied(g.routes("t", web("t.test", "/", "web")))
	if _, err := g.shows("s.test"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	os.Remove(filepath.Join(g.certDir, "s.crt"))
	os.Remove(filepath.Join(g.certDir, "s.key"))
	g.until("the certificate is gone", func() bool { _, err := g.shows("s.test"); return err != nil })
	g.expect("s.test", "/", 301, "")
	if seen := g.applied(g.routes("t", web("t2.test", "/", "web"))); len(seen.Refused) != 0 {
		t.Errorf("refused: %v", seen.Refused)
	}
	seen := g.applied(g.routes("u", secure("u.test", "/", "web")))
	if !strings.Contains(seen.Refused["u"], "there is no certificate for u.test") {
		t.Errorf("refused: %v", seen.Refused)
	}
	g.ca.Put(g.certDir, "u", nextYear, "u.test")
	g.until("the route is taken once there is one", func() bool { return len(g.seen().Refused) == 0 })
	if response, _, err := fetch(g.secureClient(false), "https://u.test/"); err != nil || response.StatusCode != 503 {
		t.Errorf("%v %v", response, err)
	}
}

func TestRouterTLS_SwitchedOff(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.endpoints("s", "web", addressOf(backend(t, "s")))
	g.applied(g.routes("s", secure("s.test", "/", "web")))
	g.halt()
	g.addrTLS = ""
	g.start()
	g.applied(g.routes("t", web("t.test", "/", "web")))
	g.expect("s.test", "/", 503, "Only over HTTPS")
	if err := g.router.Certified(t.Context(), "s.test"); err == nil || !strings.Contains(err.Error(), "https is switched off on this server") {
		t.Error(err)
	}
}

// A link may change between the two halves of a handshake: certificate and key are still of one pair.
func TestRouterTLS_HalvesNeverMix(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "one", nextYear, "a.test")
	g.ca.Put(g.certDir, "two", nextMonth, "b.test", "a.test")
	g.start()
	g.applied(g.routes("a", web("a.test", "/", "web"), web("b.test", "/", "web")))
	hosts := filepath.Join(g.dir, "router/certs/hosts")
	var pairs []string
	for _, host := range []string{"a.test", "b.test"} {
		target, err := os.Readlink(filepath.Join(hosts, host))
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, target)
	}
	quit, done := make(chan struct{}), make(chan error)
	go func() {
		next := filepath.Join(g.dir, "router/certs/swap")
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			if err := errors.Join(os.Symlink(pairs[i%2], next), os.Rename(next, filepath.Join(hosts, "a.test"))); err != nil {
				<-quit
				done <- err
				return
			}
		}
	}()
	shown := map[string]int{}
	for range 300 {
		got, err := g.shows("a.test")
		if err != nil {
			t.Error(err)
			break
		}
		shown[got]++
	}
	close(quit)
	if err := <-done; err != nil || len(shown) != 2 {
		t.Errorf("%v, shown: %v", err, shown)
	}
}

// A certificate that nginx's workers cannot read is noticed by us before a person does.
func TestRouterTLS_WhatIsNotShownIsNotServing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test wants root: nginx's workers have another user then")
	}
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.applied(g.routes("t", web("t.test", "/", "web")))
	folder := filepath.Join(g.dir, "router/certs")
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	seen := g.applied(g.routes("s", secure("s.test", "/", "web")))
	if !strings.Contains(seen.Refused["s"], "does not show the certificate of s.test") || len(seen.Refused) != 1 {
		t.Errorf("refused: %v", seen.Refused)
	}
	g.expect("t.test", "/", 503, "")
	if err := os.Chmod(folder, 0o710); err != nil {
		t.Fatal(err)
	}
	g.until("it is shown, and that is told", func() bool { return len(g.seen().Refused) == 0 })
}

// Only root and nginx's workers read the keys.
func TestRouterTLS_CopiesAreClosed(t *testing.T) {
	g := newTLSRig(t)
	g.ca.Put(g.certDir, "s", nextYear, "s.test")
	g.start()
	g.applied(g.routes("s", web("s.test", "/", "web")))
	err := filepath.Walk(filepath.Join(g.dir, "router/certs"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode()&os.ModeSymlink == 0 && info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	data, err := json.Marshal(g.seen())
	if err != nil || strings.Contains(string(data), "PRIVATE") {
		t.Errorf("%s %v", data, err)
	}
}
