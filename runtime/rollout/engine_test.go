//go:build engine

package rollout

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// programs are built once: the app that runs in the containers and the helper beside it.
var programs string

func TestMain(m *testing.M) {
	code := 1
	if err := buildPrograms(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

func buildPrograms() (err error) {
	if programs, err = os.MkdirTemp("", "rollout"); err != nil {
		return err
	}
	for out, pkg := range map[string]string{"app": "./testdata/app", "helper": "lain.internal/lain/cmd/lain-helper"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(programs, out), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
		}
	}
	return os.Chmod(programs, 0o755)
}

// patience is how long a test waits before it calls something stuck. It says nothing about how long things take:
// on a machine where other runs take both cores, a verdict of four seconds has been seen to take fifty.
const patience = 4 * time.Minute

// bench is a controller at work on a real engine, with a store and a registry of its own.
type bench struct {
	t       *testing.T
	engine  *engine.Engine
	wire    *wire
	store   *state.Store
	wants   state.Kind[lain.ProcWant]
	seen    state.Kind[lain.ProcSeen]
	ends    state.Kind[lain.Endpoints]
	host    string // of the registry
	image   lain.ImageRef
	app     lain.AppName
	attempt int
	stop    func()

	controller *Controller
}

var clusters atomic.Int64

// wire is a socket in front of the engine's, so that a test can take the engine away.
type wire struct {
	path string
	cut  atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

func newWire(t *testing.T, host string) *wire {
	dir, err := os.MkdirTemp("", "w") // a short path: sockets have a limit
	ok(t, err)
	w := &wire{path: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", w.path)
	ok(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			w.join(near, strings.TrimPrefix(host, "unix://"), &serving)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.hangUp()
		serving.Wait()
		_ = os.RemoveAll(dir)
	})
	return w
}

func (w *wire) join(near net.Conn, path string, serving *sync.WaitGroup) {
	far, err := net.Dial("unix", path)
	if err != nil || w.cut.Load() {
		_ = near.Close()
		return
	}
	w.mu.Lock()
	w.open = append(w.open, near, far)
	w.mu.Unlock()
	pipe := func(a, b net.Conn) {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}
	serving.Go(func() { pipe(near, far) })
	serving.Go(func() { pipe(far, near) })
}

func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// away takes the engine away; back brings it back.
func (w *wire) away() { w.cut.Store(true); w.hangUp() }
func (w *wire) back() { w.cut.Store(false) }

func start(t *testing.T) *bench {
	t.Helper()
	host := os.Getenv("LAIN_TEST_DOCKER_HOST")
	if host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST must name an engine of the lab")
	}
	cluster := lain.Cluster(fmt.Sprintf("t%d", time.Now().UnixNano()%1e9+clusters.Add(1)))
	wire := newWire(t, host)
	e, err := engine.Open(t.Context(), "unix://"+wire.path, cluster)
	ok(t, err)
	t.Cleanup(func() { _ = e.Close() })
	b := &bench{t: t, engine: e, wire: wire, store: statetest.Open(t), app: "hello"}
	b.wants = state.Of[lain.ProcWant](b.store, lain.ProcsPrefix)
	b.seen = state.Of[lain.ProcSeen](b.store, lain.SeenPrefix)
	b.ends = state.Of[lain.Endpoints](b.store, lain.EndpointsPrefix)
	b.host = b.serveRegistry()
	b.image = b.push()
	b.run()
	t.Cleanup(b.clear)
	return b
}

// run starts a controller; stop ends it.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	c := New(Options{
		Engine: b.engine, Store: b.store, RegistryHost: b.host, HelperPath: filepath.Join(programs, "helper"),
		Domain: "lain.test", ProbeInterval: time.Second,
		Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	b.controller = c
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.stop = func() {
		cancel()
		ok(b.t, <-done)
	}
}

// clear takes everything off the engine by the controller's own way, and looks that nothing is left.
func (b *bench) clear() {
	ctx := context.Background()
	wants, _, err := b.wants.List(ctx, "")
	ok(b.t, err)
	for _, w := range wants {
		_, err := b.wants.Delete(ctx, w.Key)
		ok(b.t, err)
	}
	b.until("nothing is left", patience, func() bool {
		services, err := b.engine.Services(ctx, "")
		networks, err2 := b.engine.Networks(ctx)
		seen, _, err3 := b.seen.List(ctx, "")
		return err == nil && err2 == nil && err3 == nil && len(services)+len(networks)+len(seen) == 0
	})
	b.stop()
}

// labHost is this machine's address on the lab's network, from which its engines pull without TLS.
func (b *bench) labHost() string {
	addr, err := b.engine.NodeAddr(b.t.Context())
	ok(b.t, err)
	return addr[:strings.LastIndex(addr, ".")] + ".1"
}

func (b *bench) serve(h http.Handler) string {
	l, err := net.Listen("tcp", b.labHost()+":0")
	ok(b.t, err)
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	b.t.Cleanup(s.Close)
	return l.Addr().String()
}

func (b *bench) serveRegistry() string {
	return b.serve(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
}

// push makes an image of nothing but the app, and puts it into the registry.
func (b *bench) push() lain.ImageRef {
	program, err := os.ReadFile(filepath.Join(programs, "app"))
	ok(b.t, err)
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	ok(b.t, w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))}))
	_, err = w.Write(program)
	ok(b.t, err)
	ok(b.t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	ok(b.t, err)
	image, err := mutate.AppendLayers(empty.Image, l)
	ok(b.t, err)
	file, err := image.ConfigFile()
	ok(b.t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{Entrypoint: []string{"/app"}, Cmd: []string{"from", "image"}, User: "1000"}
	image, err = mutate.ConfigFile(image, file)
	ok(b.t, err)
	ref, err := name.ParseReference(b.host+"/hello:1", name.Insecure)
	ok(b.t, err)
	ok(b.t, remote.Write(ref, image))
	digest, err := image.Digest()
	ok(b.t, err)
	return lain.ImageRef{Repository: "hello", Digest: digest.String()}
}

// wish writes a want with the next attempt and returns it.
func (b *bench) wish(release int, mode string, change ...func(*lain.ProcSpec)) lain.ProcWant {
	b.t.Helper()
	b.attempt++
	p := lain.ProcSpec{Name: "web", Type: lain.Web, Image: b.image, Instances: 2, MemoryBytes: 64 << 20, Port: 8080,
		HealthPath: "/health", Deadline: time.Minute, KillTimeout: 2 * time.Second, Env: []string{"MODE=" + mode}}
	for _, f := range change {
		f(&p)
	}
	w := lain.ProcWant{App: b.app, Release: release, Commit: lain.Commit(strings.Repeat("a", 40)), Spec: p, Attempt: b.attempt}
	_, err := b.wants.Put(b.t.Context(), lain.ProcKey(b.app, p.Name), w)
	ok(b.t, err)
	return w
}

// verdict waits for the answer to the newest wish.
func (b *bench) verdict(proc lain.ProcName) lain.ProcSeen {
	b.t.Helper()
	var got lain.ProcSeen
	begin := time.Now()
	b.until("a verdict", patience, func() bool {
		item, err := b.seen.Get(b.t.Context(), lain.ProcKey(b.app, proc))
		got = item.Value
		return err == nil && got.Attempt == b.attempt && got.State != lain.SeenRolling
	})
	b.t.Logf("attempt %d: %s after %s: %s", got.Attempt, got.State, time.Since(begin).Round(10*time.Millisecond), got.Reason)
	return got
}

func (b *bench) serves() lain.ProcSeen {
	b.t.Helper()
	s := b.verdict("web")
	if s.State != lain.SeenServing {
		b.t.Fatalf("state %s: %s %+v", s.State, s.Reason, s.Failure)
	}
	return s
}

func (b *bench) fails() lain.Failure {
	b.t.Helper()
	s := b.verdict("web")
	if s.State != lain.SeenFailed || s.Failure == nil {
		b.t.Fatalf("state %s: %s", s.State, s.Reason)
	}
	b.t.Logf("failure: %+v", *s.Failure)
	return *s.Failure
}

func (b *bench) addresses() []string {
	item, err := b.ends.Get(b.t.Context(), lain.ProcKey(b.app, "web"))
	if err != nil {
		return nil
	}
	return item.Value.Addresses
}

func (b *bench) until(what string, limit time.Duration, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(limit); !is(); {
		if time.Now().After(end) {
			b.t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func get(t *testing.T, address, path string) string {
	t.Helper()
	c := http.Client{Timeout: 3 * time.Second}
	r, err := c.Get("http://" + address + path)
	ok(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	ok(t, err)
	return string(body)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
