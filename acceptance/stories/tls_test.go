//go:build acceptance

package stories

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// certificate makes one that is signed by itself.
func certificate(t *testing.T, end time.Time, hosts ...string) (crt, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(end.Unix()), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// secureTown is a server with TLS, and the means to put certificates into its folder and to trust them.
type secureTown struct {
	*town.Town
	t     *testing.T
	trust *x509.CertPool
}

func newSecureTown(t *testing.T) *secureTown {
	t.Helper()
	return &secureTown{Town: town.New(t, town.Options{Args: []string{"--router-https-addr", ":443"}}), t: t, trust: x509.NewCertPool()}
}

// put writes a certificate as somebody does who thinks of nothing: the key first, then the certificate, in place.
func (s *secureTown) put(name string, end time.Time, hosts ...string) {
	s.t.Helper()
	crt, key := certificate(s.t, end, hosts...)
	s.trust.AppendCertsFromPEM(crt)
	folder := filepath.Join(s.Data(), "certs")
	err := errors.Join(os.WriteFile(filepath.Join(folder, name+".key"), key, 0o600), os.WriteFile(filepath.Join(folder, name+".crt"), crt, 0o644))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *secureTown) dial(ctx context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", net.JoinHostPort(s.IP(), port))
}

// client finds every host at the server and follows nothing.
func (s *secureTown) client() *http.Client {
	transport := &http.Transport{DialContext: s.dial, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.trust.Clone()}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: 20 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func ask(client *http.Client, method, url string) (*http.Response, string, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func (s *secureTown) serves(url, want string) error {
	response, body, err := ask(s.client(), http.MethodGet, url)
	if err != nil {
		return err
	}
	if response.StatusCode != 200 || !strings.HasPrefix(body, want) || response.ProtoMajor != 2 {
		return fmt.Errorf("%s %s: %q, want %q over HTTP/2", response.Proto, response.Status, body, want)
	}
	return nil
}

// An application that is for https alone: refused without a certificate, served with one, and never over http.
func TestHTTPSOnly_FromTheFirstRefusalToALostCertificate(t *testing.T) {
	t.Parallel()
	tw := newSecureTown(t)
	app := tw.NewApp(t, "secure")
	app.Manifest("", "  https_only: true")
	app.Commit("https only")
	folder := filepath.Join(tw.Data(), "certs")
	refusedAtTheDoor(t, tw.Town, app, app.Push(), "no certificate fits "+app.Host(), "NAME.crt", "NAME.key", folder, "lain.yaml:")

	tw.put("cluster", time.Now().AddDate(0, 2, 0), "*.lain.localhost")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "https://"+app.Host()+"/") || strings.Contains(r.Stderr, "http://") {
		t.Errorf("the push shows other URLs:\n%s", r.Stderr)
	}
	if err := tw.serves("https://"+app.Host()+"/", "one\n"); err != nil {
		t.Error(err)
	}
	if out := tw.Verb(t, "info "+app.Name); !strings.Contains(out, "https://"+app.Host()+"/") {
		t.Errorf("info shows:\n%s", out)
	}
	for method, status := range map[string]int{"GET": 301, "HEAD": 301, "POST": 308} {
		response, _, err := ask(tw.client(), method, "http://"+app.Host()+"/a%20b?c=d")
		if err != nil || response.StatusCode != status || response.Header.Get("Location") != "https://"+app.Host()+"/a%20b?c=d" {
			t.Errorf("%s over http: %v %v", method, response, err)
		}
	}
	if out, err := tw.Exec(t.Context(), "nft", "list", "set", "inet", "lain_lain", "open"); err != nil || !strings.Contains(out, "443") {
		t.Errorf("the fence does not open the port to containers: %v\n%s", err, out)
	}
	if _, body, err := ask(http.DefaultClient, "GET", fmt.Sprintf("http://%s:%d/metrics", tw.IP(), town.APIPort)); err != nil || !strings.Contains(body, `lain_certificates{state="good"} 1`) {
		t.Errorf("metrics: %v", err)
	}

	lostCertificate(t, tw, app)
}

// lostCertificate takes the certificate away: what serves is still not served over plain http, and the next push
// is refused.
func lostCertificate(t *testing.T, tw *secureTown, app *town.App) {
	t.Helper()
	for _, file := range []string{"cluster.crt", "cluster.key"} {
		if err := os.Remove(filepath.Join(tw.Data(), "certs", file)); err != nil {
			t.Fatal(err)
		}
	}
	app.Eventually("the handshake is refused", 20*time.Second, func() error {
		if err := tw.serves("https://"+app.Host()+"/", ""); err == nil {
			return errors.New("it is served")
		}
		return nil
	})
	if response, _, err := ask(tw.client(), "GET", "http://"+app.Host()+"/"); err != nil || response.StatusCode != 301 {
		t.Errorf("http without a certificate: %v %v", response, err)
	}
	app.Change("two")
	app.Push().Refused(t, "no certificate fits "+app.Host())
	tw.put("other", time.Now().AddDate(0, 2, 0), app.Host())
	app.MustPush()
	if err := tw.serves("https://"+app.Host()+"/", "two\n"); err != nil {
		t.Error(err)
	}
}

// Certificates change while people are there, pushes and a new server among them, and nobody notices.
func TestCertificatesChangeUnderLoad_NothingIsLost(t *testing.T) {
	t.Parallel()
	tw := newSecureTown(t)
	tw.put("cluster", time.Now().AddDate(0, 1, 0), "*.lain.localhost")
	app := tw.NewApp(t, "renewed")
	app.Manifest("", "  https_only: true")
	app.Commit("https only")
	app.MustPush()
	load := tw.load("https://" + app.Host() + "/")
	for i := 2; i <= 4; i++ {
		end := time.Now().AddDate(0, i, 0)
		tw.put("cluster", end, "*.lain.localhost")
		if i == 3 {
			if err := errors.Join(tw.Kill(), tw.Start(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		app.Eventually("the new certificate is shown", 30*time.Second, func() error { return tw.shows(app.Host(), end) })
		app.Change(fmt.Sprint("v", i))
		app.MustPush()
	}
	if n, lost := load(); n == 0 || len(lost) > 0 {
		t.Errorf("%d of %d requests were lost:\n%s", len(lost), n, strings.Join(lost, "\n"))
	} else {
		t.Logf("%d requests", n)
	}
}

func (s *secureTown) shows(host string, end time.Time) error {
	c, err := tls.Dial("tcp", s.IP()+":443", &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0].NotAfter; got.Unix() != end.Unix() {
		return fmt.Errorf("it ends on %s", got)
	}
	return nil
}

// load asks for the URL fifty times a second, over HTTP/2, kept connections of HTTP/1.1 and fresh ones, until stop.
// Whether a certificate is trusted is another story's question.
func (s *secureTown) load(url string) (stop func() (sent int, lost []string)) {
	var clients []*http.Client
	for kind := range 3 {
		transport := &http.Transport{DialContext: s.dial, ForceAttemptHTTP2: kind == 0, DisableKeepAlives: kind == 2, MaxIdleConnsPerHost: 16,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		s.t.Cleanup(transport.CloseIdleConnections)
		clients = append(clients, &http.Client{Timeout: 20 * time.Second, Transport: transport})
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent, lost, quit := 0, []string(nil), make(chan struct{})
	one := func(client *http.Client) {
		response, body, err := ask(client, http.MethodGet, url)
		mu.Lock()
		defer mu.Unlock()
		sent++
		if err != nil || response.StatusCode != 200 {
			lost = append(lost, fmt.Sprint(response, body, err))
		}
	}
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-tick.C:
				wg.Go(func() { one(clients[i%3]) })
			}
		}
	})
	return func() (int, []string) {
		close(quit)
		wg.Wait()
		return sent, lost
	}
}
