package access

import (
	"crypto/rsa"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"lain.internal/lain/lain/fault"
)

// maxLine bounds an authorized_keys line: an RSA key of 8192 bits takes 1400 bytes.
const maxLine = 4 << 10

// maxComment bounds a key's comment, in bytes.
const maxComment = 200

// ParseAuthorizedKey reads one line "type base64 comment" as ssh-keygen writes it to a .pub file. Options
// before the type, certificates, and weak or unknown kinds of keys are refused; so is anything after the
// line. The comment may be empty. Its error is a *fault.Fault.
func ParseAuthorizedKey(line string) (key ssh.PublicKey, comment string, err error) {
	line = strings.TrimSpace(line)
	if len(line) > maxLine || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
		return nil, "", fault.New(fault.Invalid, "a public key is one line of text, at most %d bytes", maxLine)
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return nil, "", fault.New(fault.Invalid, "that is a private key: send the .pub file, and make a new key if others saw this one")
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(rest) > 0 {
		return nil, "", fault.Hide(fault.Invalid, err, "that is not a public key: send a line like \"ssh-ed25519 AAAA... name\"")
	}
	if len(options) > 0 {
		return nil, "", fault.New(fault.Invalid, "options before a key are not supported: send the key alone, as in the .pub file")
	}
	if err := checkKind(key); err != nil {
		return nil, "", err
	}
	if len(comment) > maxComment {
		return nil, "", fault.New(fault.Invalid, "the comment of a key has at most %d bytes", maxComment)
	}
	return key, comment, nil
}

// checkKind takes what the SSH server takes.
func checkKind(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		return checkRSA(key)
	default:
		return fault.New(fault.Invalid, "keys of type %s are not taken: make one with ssh-keygen -t ed25519", key.Type())
	}
}

func checkRSA(key ssh.PublicKey) error {
	bits := 0
	if crypto, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok {
			bits = public.N.BitLen()
		}
	}
	if bits < 2048 || bits > 8192 {
		return fault.New(fault.Invalid, "an RSA key has 2048 to 8192 bits here, this one has %d: make one with ssh-keygen -t ed25519", bits)
	}
	return nil
}

// recordKey is a fingerprint as a key of the store: without "SHA256:", and without the slash that base64
// has.
func recordKey(fingerprint string) string {
	return strings.NewReplacer("/", "_", "+", "-").Replace(strings.TrimPrefix(fingerprint, "SHA256:"))
}

// clip keeps a foreign name from filling a sentence.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
