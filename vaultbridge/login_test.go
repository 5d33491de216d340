package vaultbridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
)

// A vault with TLS and the certificate method is played by this test: lain-vault has neither.
func TestLogin_Certificate(t *testing.T) {
	var seen []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.TLS.PeerCertificates[0].Subject.CommonName+" "+r.Header.Get("X-Vault-Token")+" "+r.Header.Get("X-Vault-Namespace"))
		_, _ = rw.Write([]byte(`{"auth": {"client_token": "of-the-certificate", "lease_duration": 60}, "data": {"x": "y"}}`))
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	w := &world{t: t, dir: t.TempDir()}
	ca := w.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	cert, key := w.certificate()
	b, err := Open(Options{Address: s.URL, CAFile: ca, Namespace: "team", Login: Login{CertFile: cert, KeyFile: key}, Cluster: "c1", Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"PUT /v1/auth/cert/login lain-test  team", "GET /v1/auth/token/lookup-self lain-test of-the-certificate team"}
	if len(seen) != 2 || seen[0] != want[0] || seen[1] != want[1] {
		t.Errorf("%q", seen)
	}
	if _, err := Open(Options{Address: s.URL, CAFile: cert + ".none", Login: Login{CertFile: cert, KeyFile: key}, Cluster: "c1"}); err == nil {
		t.Error("a file of certificates that is not there is taken")
	}
	stranger, err := Open(Options{Address: s.URL, Login: Login{CertFile: cert, KeyFile: key}, Cluster: "c1", Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	err = stranger.Health(t.Context())
	class(t, "a vault that nobody vouches for", err, ErrDenied)
	if !strings.Contains(err.Error(), "does not trust") || len(seen) != 2 {
		t.Errorf("%v", err)
	}
}

// certificate makes one that signs itself, and its key.
func (w *world) certificate() (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lain-test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		w.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.file("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		w.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func TestParseOwnerAndMode(t *testing.T) {
	for s, want := range map[string]int{"": 0, "root": 0, "0": 0, "1000": 1000, "2147483646": maxID} {
		if n, err := ParseOwner(s); n != want || err != nil {
			t.Errorf("owner %q: %d %v", s, n, err)
		}
	}
	for s, want := range map[string]uint32{"": 0o400, "400": 0o400, "0440": 0o440, "777": 0o777} {
		if n, err := ParseMode(s); n != want || err != nil {
			t.Errorf("mode %q: %o %v", s, n, err)
		}
	}
	for _, s := range []string{"-1", "www-data", "2147483647", "1e3", "+5"} {
		if n, err := ParseOwner(s); kind(err) != fault.Invalid {
			t.Errorf("owner %q: %d %v", s, n, err)
		}
	}
	for _, s := range []string{"0", "888", "4755", "u=r", "-1"} {
		if n, err := ParseMode(s); kind(err) != fault.Invalid {
			t.Errorf("mode %q: %o %v", s, n, err)
		}
	}
}
