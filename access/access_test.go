package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state/statetest"
)

func newKey(t testing.TB) (ssh.PublicKey, string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func kind(err error) fault.Kind {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return ""
	}
	return f.Kind
}

func TestAKeyBelongsToOnePerson(t *testing.T) {
	s, ctx := Open(statetest.Open(t)), t.Context()
	key, line := newKey(t)
	if _, err := s.Person(ctx, key); kind(err) != fault.NotFound {
		t.Fatal(err)
	}
	for range 2 {
		fp, err := s.AddKey(ctx, "ann", line+" ann@laptop")
		if err != nil || fp != ssh.FingerprintSHA256(key) {
			t.Fatal(fp, err)
		}
	}
	if p, err := s.Person(ctx, key); p != "ann" || err != nil {
		t.Fatal(p, err)
	}
	if _, err := s.AddKey(ctx, "bob", line); kind(err) != fault.Conflict {
		t.Fatal(err)
	}
	if _, err := s.AddKey(ctx, "../bob", line); kind(err) != fault.Invalid {
		t.Fatal(err)
	}
	keys, err := s.List(ctx)
	if err != nil || len(keys) != 1 || keys[0].Comment != "ann@laptop" || keys[0].Line != line {
		t.Fatalf("%+v %v", keys, err)
	}
}

func TestTheLastKeyStays(t *testing.T) {
	s, ctx := Open(statetest.Open(t)), t.Context()
	_, one := newKey(t)
	_, two := newKey(t)
	a, _ := s.AddKey(ctx, "ann", one)
	if err := s.Remove(ctx, a); kind(err) != fault.Conflict {
		t.Fatal(err)
	}
	b, _ := s.AddKey(ctx, "bob", two)
	var both sync.WaitGroup
	errs := make(chan error, 2)
	for _, fp := range []string{a, b} { // each removes the other's
		both.Go(func() { errs <- s.Remove(ctx, fp) })
	}
	both.Wait()
	if x, y := <-errs, <-errs; (x == nil) == (y == nil) || kind(errors.Join(x, y)) != fault.Conflict {
		t.Fatal(x, y)
	}
	if keys, _ := s.List(ctx); len(keys) != 1 {
		t.Fatal(keys)
	}
	if err := s.Remove(ctx, "SHA256:none"); kind(err) != fault.NotFound {
		t.Fatal(err)
	}
}

func TestBootstrapHappensOnce(t *testing.T) {
	s, ctx := Open(statetest.Open(t)), t.Context()
	key, line := newKey(t)
	file := filepath.Join(t.TempDir(), "authorized_keys")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := s.Bootstrap(ctx, "admin", file); done || kind(err) != fault.Invalid {
		t.Fatal(done, err)
	}
	write("# nothing\n\n")
	if done, err := s.Bootstrap(ctx, "admin", file); done || kind(err) != fault.Invalid {
		t.Fatal(done, err)
	}
	write("# mine\n" + line + " me\ncommand=\"id\" " + line + "\n")
	if done, err := s.Bootstrap(ctx, "admin", file); done || !strings.Contains(err.Error(), "authorized_keys:3: options") {
		t.Fatal(done, err)
	}
	write("# mine\n" + line + " me\n")
	if done, err := s.Bootstrap(ctx, "admin", file); !done || err != nil {
		t.Fatal(done, err)
	}
	if p, err := s.Person(ctx, key); p != "admin" || err != nil {
		t.Fatal(p, err)
	}
	if done, err := s.Bootstrap(ctx, "mallory", "/nowhere"); done || err != nil {
		t.Fatal(done, err)
	}
}

func TestCan(t *testing.T) {
	s, ctx := Open(statetest.Open(t)), t.Context()
	_, line := newKey(t)
	if _, err := s.AddKey(ctx, "ann", line); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		person lain.Person
		action Action
		ok     bool
	}{{"ann", Push, true}, {"ann", ManageKeys, true}, {"bob", Read, false}, {"ann", "fly", false}, {"", Read, false}} {
		err := s.Can(ctx, c.person, c.action, "hello")
		if (err == nil) != c.ok || !c.ok && kind(err) != fault.Denied && kind(err) != fault.Invalid {
			t.Errorf("%s %s: %v", c.person, c.action, err)
		}
	}
}

func TestParseAuthorizedKeyIsStrict(t *testing.T) {
	_, line := newKey(t)
	for _, bad := range []string{
		"", "hello", "ssh-ed25519", "ssh-ed25519 AAAA", `command="id" ` + line, "no-pty " + line, line + "\n" + line, line + "\x00", line + " \x1b[31m",
		"-----BEGIN OPENSSH PRIVATE KEY-----", strings.Repeat("a", maxLine+1), line + " " + strings.Repeat("c", maxComment+1),
		"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7", strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1),
	} {
		if _, _, err := ParseAuthorizedKey(bad); kind(err) != fault.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	if _, comment, err := ParseAuthorizedKey("  " + line + " ann at home \n"); comment != "ann at home" || err != nil {
		t.Fatal(comment, err)
	}
}

func FuzzParseAuthorizedKey(f *testing.F) {
	_, line := newKey(f)
	f.Add(line)
	f.Add(line + " comment")
	f.Add(`environment="A=B" ` + line)
	f.Add("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7")
	f.Fuzz(func(t *testing.T, in string) {
		key, _, err := ParseAuthorizedKey(in)
		if err != nil {
			if kind(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, _, err := ParseAuthorizedKey(string(ssh.MarshalAuthorizedKey(key)))
		if err != nil || ssh.FingerprintSHA256(again) != ssh.FingerprintSHA256(key) {
			t.Fatalf("%q does not survive: %v", in, err)
		}
	})
}
