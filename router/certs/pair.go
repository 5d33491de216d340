// Package certs knows the certificates of a folder: which of them are good, which hosts they are for, and where
// nginx finds the one for a host.
//
// The folder belongs to the operator and holds NAME.crt and NAME.key. Which hosts a certificate is for is
// read from the certificate and never from a file's name. What nginx reads are copies in a folder of ours: a pair
// is one file whose name is the hash of its content, and a host is a link to one of them. So both halves
// change in the same instant, and nginx never sees a file that is being written.
//
// A pair that is broken is reported and does not disturb the others. While it is broken, the one that was
// there before is used as long as it is valid.
//
// It neither runs nginx nor asks anybody for certificates.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"lain.internal/lain/lain/fault"
)

// maxChain is how many certificates one file may hold.
const maxChain = 20

// Pair is a certificate with its key.
type Pair struct {
	Name      string   // of its files, without .crt and .key
	Hosts     []string // sorted; "a.example.org", or "*.example.org" for one label more
	NotBefore time.Time
	NotAfter  time.Time
	Hash      string   // names the content: hexadecimal
	Leaf      [32]byte // SHA-256 of the certificate itself, as a client sees it
	PEM       []byte   // chain and key, written anew: it holds a secret
}

// Valid tells whether the certificate is in its time.
func (p Pair) Valid(now time.Time) bool {
	return !now.Before(p.NotBefore) && now.Before(p.NotAfter)
}

// A host as conf takes them, and "*." before it.
var namePattern = regexp.MustCompile(`^(\*\.)?[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*$`)

// Parse reads both halves of a pair: a chain in PEM, the certificate itself first, and its key in PEM. It says
// in one sentence what is wrong with them. Whether the time is right is not its question.
func Parse(name string, crt, key []byte) (Pair, error) {
	both, err := tls.X509KeyPair(crt, key)
	if err != nil {
		return Pair{}, fault.Hide(fault.Invalid, err, "certificate and key of %q do not make a pair: %s", name, strings.TrimPrefix(err.Error(), "tls: "))
	}
	leaf, err := checkChain(name, both.Certificate)
	if err != nil {
		return Pair{}, err
	}
	text, err := encode(both)
	if err != nil {
		return Pair{}, fault.Hide(fault.Invalid, err, "the key of %q is of a kind that is not served", name)
	}
	hosts := hostsOf(leaf)
	if len(hosts) == 0 {
		return Pair{}, fault.New(fault.Invalid, "the certificate of %q names no host: it needs DNS names as subject alternative names", name)
	}
	sum := sha256.Sum256(text)
	return Pair{Name: name, Hosts: hosts, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Hash: hex.EncodeToString(sum[:16]), Leaf: sha256.Sum256(leaf.Raw), PEM: text}, nil
}

func checkChain(name string, chain [][]byte) (leaf *x509.Certificate, err error) {
	if len(chain) > maxChain {
		return nil, fault.New(fault.Invalid, "the chain of %q has %d certificates: at most %d are served", name, len(chain), maxChain)
	}
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.Hide(fault.Invalid, err, "certificate %d in the chain of %q cannot be read", i+1, name)
		}
		if i == 0 {
			leaf = c
		}
	}
	if !forServers(leaf) {
		return nil, fault.New(fault.Invalid, "the certificate of %q is not meant for servers: its extended key usage lacks serverAuth", name)
	}
	return leaf, nil
}

func forServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// hostsOf are the DNS names among the subject alternative names (RFC 9525, 4.1: the common name is none). A
// wildcard stands for one whole label, the first (6.3); other forms serve nobody.
func hostsOf(c *x509.Certificate) []string {
	var hosts []string
	for _, n := range c.DNSNames {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if len(n) <= 253 && namePattern.MatchString(n) {
			hosts = append(hosts, n)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// encode writes chain and key as nginx reads them, whatever form they came in.
func encode(c tls.Certificate) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	var text []byte
	for _, der := range c.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), nil
}
