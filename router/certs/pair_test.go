package certs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/router/certs/certstest"
)

var (
	now  = time.Now().Truncate(time.Second)
	year = now.AddDate(1, 0, 0)
)

func parsed(t *testing.T, name string, crt, key []byte) Pair {
	t.Helper()
	p, err := Parse(name, crt, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse_KindsOfKeys(t *testing.T) {
	ca := certstest.New(t)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecCrt, ecKey := ca.Issue(year, []string{"B.test", "*.a.test", "b.test.", "a.test"})
	rsaCrt, rsaKey := ca.Sign(big, year, []string{"a.test"})
	edCrt, edKey := ca.Sign(edwards, year, []string{"a.test"})
	for name, half := range map[string][2][]byte{"ecdsa": {ecCrt, ecKey}, "rsa": {rsaCrt, rsaKey}, "ed25519": {edCrt, edKey}} {
		p := parsed(t, name, half[0], half[1])
		if again := parsed(t, name, p.PEM, p.PEM); again.Hash != p.Hash || !bytes.Equal(again.PEM, p.PEM) {
			t.Errorf("%s: what is written does not read back", name)
		}
		if !p.Valid(now) || p.Valid(year) || p.Valid(now.Add(-2*time.Hour)) || strings.Count(string(p.PEM), "BEGIN CERTIFICATE") != 2 {
			t.Errorf("%s: %v to %v\n%s", name, p.NotBefore, p.NotAfter, p.PEM[:60])
		}
	}
	if p := parsed(t, "names", ecCrt, ecKey); !slices.Equal(p.Hosts, []string{"*.a.test", "a.test", "b.test"}) {
		t.Errorf("hosts %q", p.Hosts)
	}
}

func TestParse_Refuses(t *testing.T) {
	ca := certstest.New(t)
	crt, key := ca.Issue(year, []string{"a.test"})
	_, other := ca.Issue(year, []string{"a.test"})
	named := func(c *x509.Certificate) { c.Subject.CommonName = "a.test" }
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	bare, bareKey := ca.Issue(year, nil, named)
	odd, oddKey := ca.Issue(year, []string{"a.*.test", "w*.test", "*", "a b.test", strings.Repeat("a", 64) + ".test"})
	for name, c := range map[string]struct {
		crt, key []byte
		want     string
	}{
		"another's key":        {crt, other, "private key does not match"},
		"nothing":              {nil, nil, "do not make a pair"},
		"the key as chain":     {key, key, "do not make a pair"},
		"no key":               {crt, crt, "do not make a pair"},
		"half a certificate":   {crt[:200], key, "do not make a pair"},
		"a common name alone":  {bare, bareKey, "names no host"},
		"names of other kinds": {odd, oddKey, "names no host"},
		"too long a chain":     {bytes.Repeat(crt, maxChain), key, "at most 20"},
		"rubbish in the chain": {append(slices.Clone(crt), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...), key, "certificate 3 in the chain"},
	} {
		if _, err := Parse("NAME", c.crt, c.key); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"NAME"`) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	forClients, clientKey := ca.Issue(year, []string{"a.test"}, client)
	if _, err := Parse("x", forClients, clientKey); err == nil || !strings.Contains(err.Error(), "serverAuth") {
		t.Errorf("a client's certificate: %v", err)
	}
}

func TestBest(t *testing.T) {
	short, long := now.AddDate(0, 1, 0), now.AddDate(0, 2, 0)
	pair := func(hash string, end time.Time, hosts ...string) Pair {
		return Pair{Hash: hash, Hosts: hosts, NotBefore: now.Add(-time.Hour), NotAfter: end}
	}
	early := pair("early", long, "a.test")
	early.NotBefore = now.Add(time.Hour)
	for name, c := range map[string]struct {
		pairs []Pair
		host  string
		want  string // hash; "": none
	}{
		"none":                           {nil, "a.test", ""},
		"exact":                          {[]Pair{pair("x", short, "a.test")}, "a.test", "x"},
		"another host":                   {[]Pair{pair("x", short, "b.test")}, "a.test", ""},
		"one label":                      {[]Pair{pair("w", short, "*.a.test")}, "x.a.test", "w"},
		"not two labels":                 {[]Pair{pair("w", short, "*.a.test")}, "y.x.a.test", ""},
		"not the bare domain":            {[]Pair{pair("w", short, "*.a.test")}, "a.test", ""},
		"a literal star is no host":      {[]Pair{pair("w", short, "*.a.test")}, "*.a.test", "w"}, // no route is called so
		"exact before a longer wildcard": {[]Pair{pair("w", long, "*.test"), pair("x", short, "a.test")}, "a.test", "x"},
		"the longer of two":              {[]Pair{pair("x", short, "a.test"), pair("y", long, "a.test")}, "a.test", "y"},
		"the longer of two wildcards":    {[]Pair{pair("x", long, "*.test"), pair("y", short, "*.test")}, "a.test", "x"},
		"twins":                          {[]Pair{pair("b", long, "a.test"), pair("a", long, "a.test")}, "a.test", "a"},
		"an expired one":                 {[]Pair{pair("x", now, "a.test")}, "a.test", ""},
		"a wildcard for an expired one":  {[]Pair{pair("x", now.Add(-time.Minute), "a.test"), pair("w", long, "*.test")}, "a.test", "w"},
		"one that is not valid yet":      {[]Pair{early, pair("x", short, "a.test")}, "a.test", "x"},
	} {
		for _, order := range []string{"forth", "back"} {
			got, ok := Best(c.pairs, c.host, now)
			if got.Hash != c.want || ok != (c.want != "") {
				t.Errorf("%s, %s: %q %v, want %q", name, order, got.Hash, ok, c.want)
			}
			slices.Reverse(c.pairs)
		}
	}
}

// FuzzParse hands foreign bytes to Parse. Whatever it takes has to be a pair to crypto/tls, read back as itself,
// name only hosts that can be links, and be shown for each of them.
func FuzzParse(f *testing.F) {
	ca := certstest.New(f)
	crt, key := ca.Issue(year, []string{"a.test", "*.b.test"})
	f.Add(crt, key)
	f.Add(append(slices.Clone(key), crt...), append(slices.Clone(crt), key...))
	f.Add(crt[:len(crt)/2], key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), key)
	f.Add([]byte("junk\n"+string(crt)+"junk"), []byte("junk\n"+string(key)))
	f.Add([]byte(strings.ReplaceAll(string(crt), "\n", "\r\n")), key)
	f.Fuzz(func(t *testing.T, crt, key []byte) {
		p, err := Parse("n", crt, key)
		if err != nil {
			return
		}
		if _, err := tls.X509KeyPair(p.PEM, p.PEM); err != nil {
			t.Fatal(err)
		}
		if again := parsed(t, "n", p.PEM, p.PEM); again.Hash != p.Hash {
			t.Errorf("%s became %s", p.Hash, again.Hash)
		}
		for _, h := range p.Hosts {
			if strings.ContainsAny(h, "/\x00\n") || strings.HasPrefix(h, ".") || h == "" {
				t.Errorf("host %q", h)
			}
			h = strings.Replace(h, "*", "x", 1)
			if _, ok := Best([]Pair{p}, h, p.NotBefore); p.Valid(p.NotBefore) && !ok {
				t.Errorf("%s is not for %s", fmt.Sprint(p.Hosts), h)
			}
		}
	})
}
