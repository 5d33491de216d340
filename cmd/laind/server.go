package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lain.internal/lain/access"
	"lain.internal/lain/archive"
	"lain.internal/lain/builder"
	"lain.internal/lain/builder/registry"
	"lain.internal/lain/engine"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/pipeline"
	"lain.internal/lain/router"
	"lain.internal/lain/runtime/disk"
	"lain.internal/lain/runtime/rollout"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
	"lain.internal/lain/vaultbridge/local"
)

// server is the wiring: every room, and the steps that take it down again in the reverse order.
type server struct {
	c   Config
	log *slog.Logger

	store    *state.Store
	engine   *engine.Engine
	registry *registry.Registry
	builder  *builder.Builder
	repos    *repo.Store
	access   *access.Store
	router   *router.Router
	rollout  *rollout.Controller
	pipeline *pipeline.Pipeline
	git      *gitserver.Server
	vault    *vaultbridge.Bridge
	own      *local.Vault // nil where another vault is used
	secrets  secrets
	gate     *archive.Gate // between backups and removals
	disk     *disk.Guard
	retains  atomic.Pointer[pipeline.Pipeline] // once it can make room

	steps []step
	loops sync.WaitGroup
	ready atomic.Bool
	lost  chan error // a loop that must not end has ended
}

type step struct {
	name string
	stop func(context.Context) error
}

func (s *server) onStop(name string, stop func(context.Context) error) {
	s.steps = append(s.steps, step{name, stop})
}

// stop undoes the start, the newest step first, and joins what went wrong.
func (s *server) stop(ctx context.Context) error {
	var all error
	for i := len(s.steps) - 1; i >= 0; i-- {
		if err := s.steps[i].stop(ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("stop %s: %w", s.steps[i].name, err))
		}
	}
	s.steps = nil
	return all
}

// serve runs the server until ctx ends, drains it, and returns.
func serve(ctx context.Context, c Config, log *slog.Logger) (err error) {
	s := &server{c: c, log: log, lost: make(chan error, 1), gate: archive.NewGate()}
	defer func() {
		err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}()
	if err := s.start(ctx); err != nil {
		return err
	}
	log.Info("ready", "ssh", c.SSHAddr, "http", c.RouterHTTPAddr, "https", c.RouterHTTPSAddr, "cluster", c.Cluster, "version", version)
	select {
	case <-ctx.Done():
		log.Info("draining", "at most", c.DrainTimeout)
		return nil
	case err := <-s.lost:
		return err
	}
}

// loop runs a controller until the server stops; its early end takes the server down.
func (s *server) loop(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.loops.Add(1)
	done := make(chan struct{})
	go func() {
		defer s.loops.Done()
		defer close(done)
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case s.lost <- fmt.Errorf("%s ended: %w", name, err):
		default:
		}
	}()
	s.onStop(name, func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// start is pure wiring, in the order of who needs whom; each part leaves its own way back.
func (s *server) start(ctx context.Context) error {
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"folders", s.folders}, {"api", s.startAPI}, {"store", s.startStore}, {"engine", s.startEngine},
		{"disk", s.startDisk}, {"fence", s.startFence}, {"vault", s.startVault}, {"registry", s.startRegistry}, {"router", s.startRouter}, {"rollout", s.startRollout},
		{"pipeline", s.startPipeline}, {"ssh", s.startSSH}, {"control", s.startControl},
	} {
		begun := time.Now()
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("start %s: %w", part.name, err)
		}
		s.log.Info("started", "part", part.name, "took", time.Since(begun).Round(time.Millisecond))
	}
	s.ready.Store(true)
	return nil
}

func (s *server) cluster() lain.Cluster { return lain.Cluster(s.c.Cluster) }

func (s *server) dataDir(name string) string { return filepath.Join(s.c.Data, name) }
func (s *server) runDir(name string) string  { return filepath.Join(s.c.Run, name) }

// folders makes what must be there. The data folder may be passed through (git runs as a user of its own) but
// not be listed; what is secret lies in folders of root alone.
func (s *server) folders(context.Context) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{
		{s.c.Data, 0o711}, {s.c.Run, 0o711}, {s.dataDir("runs"), 0o700}, {s.dataDir("builds"), 0o700},
		{s.dataDir("registry"), 0o700}, {s.dataDir("ssh"), 0o700}, {s.dataDir("router"), 0o711}, {s.dataDir("bin"), 0o755},
		{s.dataDir("certs"), 0o700},
	} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return err
		}
		if err := os.Chmod(dir.path, dir.mode); err != nil {
			return err
		}
	}
	return nil
}

// listen opens an address and says which setting it came from.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return l, nil
}

// serveHTTP runs an HTTP server on l until the server stops.
func (s *server) serveHTTP(name string, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("http server ended", "name", name, "error", err)
		}
	}()
	s.onStop(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return srv.Shutdown(ctx)
	})
}
