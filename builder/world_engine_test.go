//go:build engine

package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"lain.internal/lain/builder/registry"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

// world is an engine with a base image, a registry, and a builder over both.
//
// LAIN_TEST_DOCKER_HOST is the engine; LAIN_TEST_HOST_IP (127.0.0.1) is where it reaches this machine.
type world struct {
	*Builder
	t        *testing.T
	api      *client.Client
	engine   *engine.Engine
	registry *registry.Registry
	host     string // of the registry
	base     string // name of a busybox image
}

func newWorld(t *testing.T) *world {
	t.Helper()
	host := os.Getenv("LAIN_TEST_DOCKER_HOST")
	if host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST names no engine to build in")
	}
	w := &world{t: t, base: "lain-test-busybox:1"}
	var err error
	if w.engine, err = engine.Open(t.Context(), host, lain.Cluster("test")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.engine.Close() })
	if w.api, err = client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.api.Close() })
	w.importBase()
	w.serveRegistry()
	w.Builder, err = New(Options{
		Engine: w.engine, RegistryHost: w.host, WorkDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		RegistryAuth: engine.Auth{Username: w.registry.Credential().Username, Password: w.registry.Credential().Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) serveRegistry() {
	ip := os.Getenv("LAIN_TEST_HOST_IP")
	if ip == "" {
		ip = "127.0.0.1"
	}
	dir := w.t.TempDir()
	var err error
	w.registry, err = registry.Open(registry.Options{Dir: dir, Credentials: filepath.Join(dir, "credential"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", ip+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.host = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.registry.Serve(ctx, ln) }()
	w.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, w.registry.Close()); err != nil {
			w.t.Error(err)
		}
	})
}

// importBase makes an image of the machine's static busybox. It has no digest at any registry.
func (w *world) importBase() {
	if _, err := w.engine.ImageConfig(w.t.Context(), w.base); err == nil {
		return
	}
	w.importAs(w.base, "LABEL org.base=yes")
}

// importAs makes an image of the machine's busybox under a name, with one more word about it.
func (w *world) importAs(name, more string) {
	w.t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		w.t.Fatal(err)
	}
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	add := func(h *tar.Header, body []byte) {
		h.Size = int64(len(body))
		if err := archive.WriteHeader(h); err != nil {
			w.t.Fatal(err)
		}
		if _, err := archive.Write(body); err != nil {
			w.t.Fatal(err)
		}
	}
	add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(&tar.Header{Name: "root/.cache/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	add(&tar.Header{Name: "root/.cache/seed", Mode: 0o644}, []byte("from the base\n"))
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	for applet := range strings.FieldsSeq("sh cat cp mkdir rm ls seq sleep touch test true false printf echo date grep awk head id chmod yes wc pwd") {
		add(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := archive.Close(); err != nil {
		w.t.Fatal(err)
	}
	body, err := w.api.ImageImport(w.t.Context(), image.ImportSource{Source: &buf, SourceName: "-"}, name,
		image.ImportOptions{Changes: []string{"ENV FLAVOUR=plain", "LABEL lain.owner=evil", more}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer body.Close()
	_, _ = io.Copy(io.Discard, body)
}

// events collects a run's report.
type events struct {
	mu   sync.Mutex
	list []report.Event
}

func (e *events) Report(ev report.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) lines(kind report.Kind) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, ev := range e.list {
		if ev.Kind == kind {
			lines = append(lines, ev.Text)
		}
	}
	return lines
}

func (e *events) has(kind report.Kind, line string) bool {
	for _, l := range e.lines(kind) {
		if l == line {
			return true
		}
	}
	return false
}

// request is a commit of an application of its own, with these files.
func (w *world) request(m manifest.Manifest, files map[string]string) Request {
	w.t.Helper()
	app := lain.AppName("t" + strings.ToLower(fmt.Sprintf("%x", time.Now().UnixNano())))
	m.AppName = app
	if m.Build.Base == "" {
		m.Build.Base = w.base
	}
	repo := w.t.TempDir()
	for path, body := range files {
		full := filepath.Join(repo, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(body), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			w.t.Fatalf("git %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "one", "--allow-empty")
	return Request{App: app, Run: 7, Commit: lain.Commit(git("rev-parse", "HEAD")), Tree: git("rev-parse", "HEAD^{tree}"),
		CommitTime: time.Unix(1_700_000_000, 0), Manifest: &m,
		Context: func(ctx context.Context) (io.ReadCloser, error) {
			out, err := exec.CommandContext(ctx, "git", "-C", repo, "archive", "HEAD").Output()
			return io.NopCloser(bytes.NewReader(out)), err
		}}
}

func (w *world) open(r Request) (*Job, *events) {
	w.t.Helper()
	e := &events{}
	j, err := w.Open(w.t.Context(), r, e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := j.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return j, e
}

// timed runs a stage that must succeed and logs how long it took.
func (w *world) timed(what string, stage func(context.Context) error) {
	w.t.Helper()
	start := time.Now()
	if err := stage(w.t.Context()); err != nil {
		w.t.Fatalf("%s: %v (%v)", what, err, errors.Unwrap(err))
	}
	w.t.Logf("%-12s %s", what, time.Since(start).Round(time.Millisecond))
}
