package vaultbridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// dial makes a client of our own settings: of the environment's VAULT_* nothing is left. Its retries are off,
// since Bridge knows what may be repeated.
func dial(o Options) (*api.Client, func(), error) {
	transport, address, err := transport(o)
	if err != nil {
		return nil, nil, err
	}
	c, err := api.NewClient(&api.Config{
		Address:    address,
		HttpClient: &http.Client{Transport: transport, CheckRedirect: noRedirect},
		Timeout:    o.Timeout,
		CheckRetry: func(context.Context, *http.Response, error) (bool, error) { return false, nil },
	})
	if err != nil {
		return nil, nil, err
	}
	return c, transport.CloseIdleConnections, nil
}

// noRedirect leaves a redirect (from a standby) to the client, which follows one and never to plain http.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func transport(o Options) (*http.Transport, string, error) {
	u, err := url.Parse(o.Address)
	if err != nil {
		return nil, "", err
	}
	t := &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: o.Timeout}
	switch {
	case u.Scheme == "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
		return t, "http://vault", nil
	case u.Scheme == "https":
		t.ForceAttemptHTTP2 = true
		t.TLSClientConfig, err = o.tls()
		return t, o.Address, err
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return t, o.Address, nil
	}
	return nil, "", errors.New("the address must be unix:///path or https://host:port; plain http is for loopback only")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (o Options) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.CAFile)
		}
	}
	if o.Login.CertFile != "" {
		// Read for each connection, so that a renewed certificate is used.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(o.Login.CertFile, o.Login.KeyFile)
			return &cert, err
		}
	}
	return c, nil
}

// client is the base client with a token.
func (d *door) client(token string) (*api.Client, error) {
	c, err := d.base.Clone()
	if err != nil {
		return nil, err
	}
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	c.ClearNamespace()
	if d.o.Namespace != "" {
		c.SetNamespace(d.o.Namespace)
	}
	if c.ClearToken(); token != "" {
		c.SetToken(token)
	}
	return c, nil
}
