package registry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// serve runs a registry over dir until the test ends, and returns its address.
func serve(t *testing.T, dir string, logs *syncBuffer) (*Registry, string) {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, err := Open(Options{Dir: filepath.Join(dir, "data"), Credentials: filepath.Join(dir, "credential"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, r.Close()); err != nil {
			t.Error(err)
		}
	})
	return r, ln.Addr().String()
}

func basic(c Credential) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password})
}

func reference(t *testing.T, host, rest string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(host+"/"+rest, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestPushPullDelete(t *testing.T) {
	dir := t.TempDir()
	var logs syncBuffer
	r, host := serve(t, dir, &logs)
	img, err := random.Image(4096, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag := reference(t, host, "hello:release-1")
	if err := remote.Write(tag, img, basic(r.Credential())); err != nil {
		t.Fatal(err)
	}
	want, _ := img.Digest()
	byDigest := reference(t, host, "hello@"+want.String())
	got, err := remote.Image(byDigest, basic(r.Credential()))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := got.Digest(); err != nil || d != want {
		t.Errorf("pulled %s, %v; pushed %s", d, err, want)
	}
	if err := remote.Delete(byDigest, basic(r.Credential())); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := remote.Image(byDigest, basic(r.Credential())); status(err) != http.StatusNotFound {
		t.Errorf("after the deletion: %v", err)
	}
}

func TestNobodyGetsInWithoutTheCredential(t *testing.T) {
	var logs syncBuffer
	r, host := serve(t, t.TempDir(), &logs)
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag := reference(t, host, "hello:1")
	if err := remote.Write(tag, img, basic(r.Credential())); err != nil {
		t.Fatal(err)
	}
	wrong := r.Credential()
	wrong.Password += "x"
	for what, option := range map[string]remote.Option{
		"no password":    remote.WithAuth(authn.Anonymous),
		"wrong password": basic(wrong),
		"wrong name":     basic(Credential{Username: "root", Password: r.Credential().Password}),
	} {
		if err := remote.Write(tag, img, option); status(err) != http.StatusUnauthorized {
			t.Errorf("%s: push: %v", what, err)
		}
		if _, err := remote.Image(tag, option); status(err) != http.StatusUnauthorized {
			t.Errorf("%s: pull: %v", what, err)
		}
	}
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/hello/tags/list", "/v2/hello/manifests/1"} {
		res, err := http.Get("http://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s answers a stranger with %d %q", path, res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
	}
	if strings.Contains(logs.String(), r.Credential().Password) {
		t.Error("the password is in the log")
	}
}

func TestTheCredentialIsKept(t *testing.T) {
	dir := t.TempDir()
	var logs syncBuffer
	first, _ := serve(t, dir, &logs)
	second, _ := serve(t, dir, &logs)
	if first.Credential() != second.Credential() || len(first.Credential().Password) < 20 {
		t.Error("the second start made another credential, or a weak one")
	}
	info, err := os.Stat(filepath.Join(dir, "credential"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if s := slog.AnyValue(first.Credential()).String(); strings.Contains(s, first.Credential().Password) {
		t.Errorf("a log would show %s", s)
	}
}

func TestABrokenCredentialIsNoWayIn(t *testing.T) {
	for _, content := range []string{"", "{}", `{"username":"lain","password":""}`, "not json"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "credential")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir, Credentials: file, Logger: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("opened with %q", content)
		}
	}
}

// syncBuffer is a buffer that the registry's goroutines may still write to while a test reads it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func status(err error) int {
	var e *transport.Error
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}
