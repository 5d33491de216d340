package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"lain.internal/lain/access"
	"lain.internal/lain/api"
	"lain.internal/lain/builder"
	"lain.internal/lain/builder/registry"
	"lain.internal/lain/engine"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/hooks/receive"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/router"
	"lain.internal/lain/runtime/diary"
	"lain.internal/lain/runtime/network"
	"lain.internal/lain/runtime/rollout"
	"lain.internal/lain/state"
)

// engineWait is how long a start waits for an engine that is still coming up.
const engineWait = 60 * time.Second

// sayGoodbye is how much longer than for runs a stop waits for sessions, so that pushers can be told.
const sayGoodbye = 10 * time.Second

// startAPI answers /healthz (503 until everything is up) and /metrics.
func (s *server) startAPI(context.Context) error {
	l, err := listen("api-addr", s.c.APIAddr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "ok %s\n", version)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { metrics.WritePrometheus(w, true) })
	s.serveHTTP("api", l, mux)
	return nil
}

func (s *server) startStore(ctx context.Context) error {
	store, err := state.Open(ctx, state.Options{Dir: s.dataDir("etcd"), Socket: s.runDir("etcd.sock"), Cluster: s.cluster(), Logger: s.log})
	if err != nil {
		return err
	}
	s.store = store
	s.onStop("store", func(context.Context) error { return store.Close() })
	s.access = access.Open(store)
	if s.c.AdminKey == "" {
		return nil
	}
	made, err := s.access.Bootstrap(ctx, "admin", s.c.AdminKey)
	if made {
		s.log.Info("the first admin may get in", "keys", s.c.AdminKey)
	}
	return err
}

func (s *server) startEngine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	for {
		e, err := engine.Open(ctx, s.c.Engine, s.cluster())
		if err == nil {
			s.engine = e
			s.onStop("engine", func(context.Context) error { return e.Close() })
			break
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
	host, _, _ := splitAddr(s.c.SwarmListenAddr)
	return s.engine.EnsureSwarm(ctx, engine.SwarmOptions{ListenAddr: s.c.SwarmListenAddr, AdvertiseAddr: host, AddressPool: s.c.AddressPool})
}

// startFence shuts containers off from the node before the first of them can start.
func (s *server) startFence(ctx context.Context) error {
	routerPorts, err := s.c.routerPorts()
	if err != nil {
		return err
	}
	fence, err := network.New(network.Options{Cluster: s.cluster(), RouterPorts: routerPorts, Store: s.store, Ports: s.engine,
		Every: time.Second, Logger: s.log})
	if err != nil {
		return err
	}
	if err := fence.Install(ctx); err != nil {
		return err
	}
	s.loop("fence", fence.Run)
	return nil
}

func (s *server) startRegistry(context.Context) error {
	r, err := registry.Open(registry.Options{Dir: s.dataDir("registry"), Credentials: s.dataDir("registry.credential"), Room: s.disk.Room, Logger: s.log})
	if err != nil {
		return err
	}
	l, err := listen("registry-addr", s.c.RegistryAddr)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	s.registry = r
	s.loop("registry", func(ctx context.Context) error { return r.Serve(ctx, l) })
	return nil
}

func (s *server) registryAuth() engine.Auth {
	c := s.registry.Credential()
	return engine.Auth{Username: c.Username, Password: c.Password}
}

func (s *server) newRouter() *router.Router {
	return router.New(router.Options{Store: s.store, Node: "local", Dir: s.dataDir("router"), RunDir: s.c.Run, HTTPAddr: s.c.RouterHTTPAddr,
		HTTPSAddr: s.c.RouterHTTPSAddr, HTTP2Addr: s.c.RouterHTTP2Addr, HTTPSPort: s.c.httpsPort(), CertDir: s.c.CertDir, Logger: s.log})
}

func (s *server) startRouter(context.Context) error {
	s.router = s.newRouter()
	s.loop("router", s.router.Run)
	return nil
}

func (s *server) startRollout(context.Context) error {
	helper, err := s.install("lain-helper")
	if err != nil {
		return err
	}
	c := rollout.New(rollout.Options{
		Engine: s.engine, Store: s.store, RegistryHost: s.c.RegistryAddr,
		RegistryAuth: func(lain.AppName) engine.Auth { return s.registryAuth() },
		Secrets:      s.secrets, HelperPath: helper, Domain: s.c.Domain, Logger: s.log,
	})
	s.rollout = c
	s.loop("rollout", c.Run)
	s.loop("diary", diary.New(diary.Options{Store: s.store, Ends: s.engine, Logger: s.log.With("component", "diary"), Now: time.Now}).Run)
	return nil
}

// install puts a program that lies beside this one at its stable path below the data folder, atomically, so
// that containers that run keep the one they have.
func (s *server) install(name string) (string, error) {
	source, err := beside(name)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	target := filepath.Join(s.dataDir("bin"), name)
	return target, writeProgram(target, data)
}

// beside finds a program in the folder of this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s must lie beside laind: %w", name, err)
	}
	return path, nil
}

// builds gives the pipeline the builder with its own interface.
type builds struct{ *builder.Builder }

func (b builds) Open(ctx context.Context, r builder.Request, out report.Reporter) (pipeline.Job, error) {
	job, err := b.Builder.Open(ctx, r, out)
	if err != nil {
		return nil, err
	}
	return job, nil
}

func (s *server) startPipeline(ctx context.Context) error {
	repos, err := repo.NewStore(ctx, repo.Options{Root: s.dataDir("repositories"), UID: s.c.GitUID, GID: s.c.GitUID,
		HookDir: s.dataDir("hooks"), MaxInputBytes: s.c.MaxPushBytes, Removing: s.gate.Enter})
	if err != nil {
		return err
	}
	s.repos = repos
	building := builder.Options{Engine: s.engine, RegistryHost: s.c.RegistryAddr, RegistryAuth: s.registryAuth(),
		BuildKit: s.c.buildKit(), WorkDir: s.dataDir("builds"), MaxBuilds: s.c.MaxBuilds, Logger: s.log}
	building.Source.MaxBytes = s.c.MaxTreeBytes
	b, err := builder.New(building)
	if err != nil {
		return err
	}
	s.builder = b
	s.pipeline = pipeline.New(pipeline.Options{
		Store: s.store, Builder: builds{b}, Repos: repos, Secrets: s.secrets, Output: s.engine, LogDir: s.dataDir("runs"),
		Cluster: plan.Cluster{Domains: []string{s.c.Domain}, DefaultMemory: s.c.DefaultMemory}, URL: s.url, Certified: s.router.Certified,
		NodeMemory: s.nodeMemory, MaxTreeBytes: s.c.MaxTreeBytes, Room: s.disk.Room,
		Retention: plan.Retention{Releases: s.c.KeepReleases}, Cleaners: s.cleaners(), Collector: s.secrets,
		Logger: s.log, ID: rand.Text(),
	})
	s.onStop("pipeline", func(ctx context.Context) error { s.drainRuns(ctx); return nil })
	if err := s.pipeline.Start(ctx); err != nil {
		return err
	}
	s.startRetention()
	return nil
}

// nodeMemory is that of the largest node, in bytes.
func (s *server) nodeMemory(ctx context.Context) (largest int64, err error) {
	nodes, err := s.engine.Nodes(ctx)
	for _, n := range nodes {
		largest = max(largest, n.Memory)
	}
	return largest, err
}

// drainRuns waits for runs as long as it may. It can be repeated.
func (s *server) drainRuns(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.c.DrainTimeout)
	defer cancel()
	s.pipeline.Drain(ctx)
}

// url is a route as people reach it: over https where a certificate fits.
func (s *server) url(r lain.Route) string {
	if s.router.Fits(r.Host) {
		return r.URL("https", s.c.httpsPort())
	}
	return r.URL("http", s.c.httpPort())
}

func (s *server) startSSH(ctx context.Context) error {
	hook, err := beside("lain-hook")
	if err != nil {
		return err
	}
	sshPort, err := port(s.c.SSHAddr)
	if err != nil {
		return err
	}
	apps := &applications{s: s}
	pushes := &receive.Receiver{Runs: s.pipeline, Apps: apps, Repos: s.repos, Rights: s.access, Room: s.disk.Refuse, Logger: s.log}
	draining, drain := context.WithCancelCause(context.Background())
	s.onStop("followers", func(context.Context) error { drain(nil); return nil })
	verbs := api.New(api.API{Store: s.store, Runs: s.pipeline, Changes: s.pipeline, Repos: s.repos, Vault: s.vault, Apps: apps, Logs: s.engine, Machine: s.engine, OneOffs: s.rollout, Builds: s.pipeline, Rights: s.access, Keys: s.access,
		URL: s.url, Certificate: s.router.Certificate, Disks: s.disk.Usage, RegistryHost: s.c.RegistryAddr, HostKeys: func() []string { return s.git.HostKeys() }, SSHPort: sshPort, Cluster: s.cluster(),
		Version: version, Logger: s.log, Now: time.Now, Draining: draining})
	s.loop("activity", verbs.KeepTrail)
	s.git, err = gitserver.New(gitserver.Options{HostKeyDir: s.dataDir("ssh"), UID: s.c.GitUID, HookDir: s.dataDir("hooks"),
		HookBinary: hook, HookSocket: s.runDir("hook.sock"), Logger: s.log}, s.access, pushes, verbs)
	if err != nil {
		return err
	}
	l, err := listen("ssh-addr", s.c.SSHAddr)
	if err != nil {
		return errors.Join(err, s.git.Shutdown(ctx))
	}
	go func() {
		if err := s.git.Serve(context.Background(), l); err != nil {
			s.log.Error("ssh front door ended", "error", err)
		}
	}()
	s.onStop("ssh", func(ctx context.Context) error {
		drain(gitserver.ErrStopping) // verbs that only watch end at once; the others are waited for
		var runs sync.WaitGroup
		runs.Go(func() { s.drainRuns(ctx) }) // meanwhile, so that pushers learn how their runs end
		defer runs.Wait()
		ctx, cancel := context.WithTimeout(ctx, s.c.DrainTimeout+sayGoodbye)
		defer cancel()
		return s.git.Shutdown(ctx)
	})
	return nil
}
