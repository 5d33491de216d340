package gitserver

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// What is spoken: nothing that ssh-audit fails. Strict key exchange makes up for the known weakness of
// chacha20-poly1305 and of encrypt-then-MAC.
var (
	keyExchanges = []string{gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519}
	ciphers      = []string{gossh.CipherChaCha20Poly1305, gossh.CipherAES256GCM, gossh.CipherAES128GCM,
		gossh.CipherAES256CTR, gossh.CipherAES128CTR}
	macs     = []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM}
	keyAlgos = []string{gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
		gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521, gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512}
)

// CheckKey says in one sentence why a key of this kind may not be used, or nil. RSA keys have 2048 to
// 8192 bits: a shorter one is weak, and a longer one costs the server minutes per signature.
func CheckKey(key gossh.PublicKey) error {
	switch key.Type() {
	case gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
		gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521:
		return nil
	case gossh.KeyAlgoRSA:
		return checkRSA(key)
	default:
		return fmt.Errorf("keys of type %s are not taken: use ssh-ed25519", key.Type())
	}
}

func checkRSA(key gossh.PublicKey) error {
	crypto, ok := key.(gossh.CryptoPublicKey)
	if !ok {
		return errors.New("the RSA key cannot be read")
	}
	public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return errors.New("the RSA key cannot be read")
	}
	if bits := public.N.BitLen(); bits < 2048 || bits > 8192 {
		return fmt.Errorf("the RSA key has %d bits: use ssh-ed25519, or RSA with 2048 to 8192", bits)
	}
	return nil
}

// provenKey is where a connection's permissions hold the key that signed.
type provenKey struct{}

// connKey is where a connection's context holds its *conn.
type connKey struct{}

// lookupTimeout bounds the search for a key's person.
const lookupTimeout = 5 * time.Second

// config is the SSH side of one connection. Only the callback for a verified key decides who is there;
// the one for offered keys saves a client the signature.
func (s *Server) config(ctx ssh.Context) *gossh.ServerConfig {
	return &gossh.ServerConfig{
		Config:                  gossh.Config{KeyExchanges: keyExchanges, Ciphers: ciphers, MACs: macs},
		PublicKeyAuthAlgorithms: keyAlgos,
		MaxAuthTries:            6,
		VerifiedPublicKeyCallback: func(meta gossh.ConnMetadata, key gossh.PublicKey, _ *gossh.Permissions, _ string) (*gossh.Permissions, error) {
			if !s.offered(ctx, key) {
				return nil, errors.New("unknown key")
			}
			c := ctx.Value(connKey{}).(*conn)
			s.gate.leave(c)
			c.prove()
			return &gossh.Permissions{ExtraData: map[any]any{provenKey{}: key}}, nil
		},
	}
}

// offered says whether a key would do, before or after it signed.
func (s *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	if CheckKey(key) != nil {
		return false
	}
	lookup, cancel := context.WithTimeout(s.base, lookupTimeout)
	defer cancel()
	_, err := s.auth.Person(lookup, key)
	if err != nil {
		s.log.Debug("a key was refused", "fingerprint", gossh.FingerprintSHA256(key), "remote", remote(ctx), "error", err)
	}
	return err == nil
}

func remote(ctx ssh.Context) slog.Value {
	if a := ctx.RemoteAddr(); a != nil {
		return slog.StringValue(a.String())
	}
	return slog.StringValue("")
}
