package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// good is a machine with nothing to complain of.
func good() facts {
	return facts{
		root:    true,
		git:     program{text: "git version 2.39.5"},
		nginx:   program{text: "nginx version: nginx/1.22.1\nconfigure arguments: --with-stream"},
		stream:  true,
		nft:     program{text: "nftables v1.0.6 (Lester Gooch #5)"},
		restic:  program{text: "restic 0.14.0 compiled with go1.19"},
		engine:  engine{host: "unix:///x", version: "20.10.24+dfsg1", api: "1.41", stepLog: wantStepLog},
		listens: []listen{{address: ":80"}},
		dataDir: "/data",
		space:   space{freeBytes: 100 << 30, freeInodes: 1 << 20},
		pool:    defaultPool,
		routes:  []route{{netip.MustParsePrefix("192.168.1.0/24"), "eth0"}},
	}
}

func TestJudgeFindsNothingWrongWithAGoodMachine(t *testing.T) {
	findings := judge(good())
	for _, f := range findings {
		if !f.OK || f.Remedy != "" || f.Sentence == "" {
			t.Errorf("%+v", f)
		}
	}
	if !Healthy(findings) {
		t.Error("not healthy")
	}
}

func TestJudge(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		spoil    func(*facts)
		finding  string
		sentence string // part of it
		optional bool
	}{
		"not root":           {func(f *facts) { f.root = false }, "root", "not root", false},
		"no overlay":         {func(f *facts) { f.kernel.overlay = errAbsent }, "overlay", "does not have it", false},
		"no bridge":          {func(f *facts) { f.kernel.bridge = broken }, "bridge", "broken", false},
		"no veth":            {func(f *facts) { f.kernel.veth = broken }, "veth", "broken", false},
		"no vxlan":           {func(f *facts) { f.kernel.vxlan = broken }, "vxlan", "broken", false},
		"no nft in kernel":   {func(f *facts) { f.kernel.nft = broken }, "nftables", "broken", false},
		"no memory limits":   {func(f *facts) { f.kernel.memoryCgroup = errAbsent }, "memory cgroup", "cannot be used", false},
		"git too old":        {func(f *facts) { f.git.text = "git version 2.30.2" }, "git", "2.30.2, 2.39 is wanted", false},
		"no git":             {func(f *facts) { f.git = program{err: broken} }, "git", "broken", false},
		"git says nonsense":  {func(f *facts) { f.git.text = "git" }, "git", "does not say", false},
		"nginx sans stream":  {func(f *facts) { f.stream = false }, "nginx", "no stream module", false},
		"no nginx":           {func(f *facts) { f.nginx.err = broken }, "nginx", "broken", false},
		"nft too old":        {func(f *facts) { f.nft.text = "nftables v0.9.0" }, "nft", "0.9, 0.9.8 is wanted", false},
		"no restic":          {func(f *facts) { f.restic.err = broken }, "restic", "broken", true},
		"engine away":        {func(f *facts) { f.engine.err = broken }, "engine", "does not answer", false},
		"engine too old":     {func(f *facts) { f.engine.version = "19.03.15" }, "engine", "20.10 is wanted", false},
		"engine in doubt":    {func(f *facts) { f.engine.version = "dev" }, "engine", `"dev"`, false},
		"step log default":   {func(f *facts) { f.engine.stepLog = "" }, "build logs", "2 MiB", true},
		"step log minus one": {func(f *facts) { f.engine.stepLog = "-1" }, "build logs", "lost", false},
		"step log too large": {func(f *facts) { f.engine.stepLog = "1099511627776" }, "build logs", "lost", false},
		"step log small":     {func(f *facts) { f.engine.stepLog = "1000" }, "build logs", "1000 bytes", true},
		"step log unknown":   {func(f *facts) { f.engine.envErr = errNoProcess }, "build logs", "not known", true},
		"port taken": {func(f *facts) { f.listens[0] = listen{":80", unix.EADDRINUSE, "nginx (pid 7)"} },
			"port :80", "taken by nginx (pid 7)", false},
		"port forbidden":  {func(f *facts) { f.listens[0] = listen{":80", unix.EACCES, ""} }, "port :80", "permission denied", false},
		"disk full":       {func(f *facts) { f.space.freeBytes = 3 << 30 }, "disk", "3.0 GiB", false},
		"inodes gone":     {func(f *facts) { f.space.freeInodes = 3 }, "disk", "3 files", false},
		"no disk":         {func(f *facts) { f.space.err = broken }, "disk", "broken", false},
		"pool collides":   {func(f *facts) { f.routes[0].prefix = netip.MustParsePrefix("10.3.0.0/16") }, "address pool", "10.3.0.0/16 on eth0", false},
		"routes unknown":  {func(f *facts) { f.routeErr = broken }, "address pool", "broken", false},
		"clock runs free": {func(f *facts) { f.clock.unsynchronised = true }, "clock", "nothing keeps", true},
		"clock unknown":   {func(f *facts) { f.clock.err = broken }, "clock", "broken", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.spoil(&f)
			findings := judge(f)
			wrong := 0
			for _, got := range findings {
				if got.OK {
					continue
				}
				wrong++
				if got.Name != c.finding || !strings.Contains(got.Sentence, c.sentence) || got.Optional != c.optional || got.Remedy == "" {
					t.Errorf("%+v", got)
				}
			}
			if wrong != 1 || Healthy(findings) != c.optional {
				t.Errorf("%d findings, healthy %v", wrong, Healthy(findings))
			}
		})
	}
}

func TestChoosePool(t *testing.T) {
	wanted, swarms := netip.MustParsePrefix("172.30.0.0/15"), netip.MustParsePrefix("10.20.0.0/16")
	for _, c := range []struct{ wanted, swarms, want netip.Prefix }{
		{netip.Prefix{}, netip.Prefix{}, defaultPool}, {wanted, netip.Prefix{}, wanted}, {wanted, swarms, swarms},
	} {
		if got := choosePool(c.wanted, c.swarms); got != c.want {
			t.Errorf("choosePool(%v, %v) = %v, want %v", c.wanted, c.swarms, got, c.want)
		}
	}
}

func TestHasStream(t *testing.T) {
	folder := t.TempDir()
	dynamic := "--modules-path=" + folder + " --with-stream=dynamic"
	if !hasStream("nginx version: x\nconfigure arguments: --with-stream --with-x") {
		t.Error("built in: not seen")
	}
	if hasStream(dynamic) || hasStream("--with-stream_ssl_module") {
		t.Error("a module that is not installed was seen")
	}
	if err := os.WriteFile(filepath.Join(folder, "ngx_stream_module.so"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if !hasStream(dynamic) {
		t.Error("a module that is installed was not seen")
	}
}

func TestMemoryEnabled(t *testing.T) {
	if memoryEnabled("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t5\t90\t1\n") != nil {
		t.Error("enabled, not seen")
	}
	if memoryEnabled("memory\t0\t1\t0\n") == nil || memoryEnabled("") == nil {
		t.Error("disabled, not seen")
	}
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	got := tryListen(t.Context(), listener.Addr().String())
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); got.err == nil || !strings.Contains(got.holder, want) {
		t.Errorf("%+v, want a holder with %s", got, want)
	}
}

// fakeEngine answers on a unix socket as an engine that manages a swarm does.
func fakeEngine(t *testing.T) (host string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Version":"20.10.24","ApiVersion":"1.41"}`))
	})
	mux.HandleFunc("/info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Swarm":{"Cluster":{"DefaultAddrPool":["10.20.0.0/16"]}}}`))
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "unix://" + path
}

func TestLookEngine(t *testing.T) {
	host := fakeEngine(t)
	e := lookEngine(t.Context(), Options{DockerHost: host, Patience: 1e10})
	if e.err != nil || e.version != "20.10.24" || e.api != "1.41" || e.pool != netip.MustParsePrefix("10.20.0.0/16") {
		t.Errorf("%+v", e)
	}
	if pid := listenerOf(t.Context(), strings.TrimPrefix(host, "unix://")); pid != os.Getpid() {
		t.Errorf("the socket belongs to %d, want %d", pid, os.Getpid())
	}
	for _, wrong := range []string{"unix:///nowhere/docker.sock", "ssh://host", "nonsense"} {
		if e := lookEngine(t.Context(), Options{DockerHost: wrong, Patience: 1e10}); e.err == nil {
			t.Errorf("%s: %+v", wrong, e)
		}
	}
}

// TestThisMachine runs the whole look. What it finds depends on the machine, that it finds does not.
func TestThisMachine(t *testing.T) {
	findings := Check(t.Context(), Options{DataDir: filepath.Join(t.TempDir(), "not", "yet", "there"),
		DockerHost: os.Getenv("LAIN_TEST_DOCKER_HOST"), Listen: []string{"127.0.0.1:0"}})
	seen := map[string]Finding{}
	for _, f := range findings {
		t.Logf("%-14s ok=%-5v %s  %s", f.Name, f.OK, f.Sentence, f.Remedy)
		seen[f.Name] = f
	}
	for _, name := range []string{"root", "overlay", "bridge", "veth", "vxlan", "nftables", "memory cgroup", "git", "nft", "port 127.0.0.1:0"} {
		if !seen[name].OK {
			t.Errorf("Lain's own tests run here, but %s is missing: %+v", name, seen[name])
		}
	}
	if seen["disk"].Sentence == "" || seen["clock"].Sentence == "" || seen["address pool"].Sentence == "" {
		t.Error("a question was not asked")
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{"git version 2.39.5", "nftables v1.0.6 (x)", "99999.99999.99999", "1.", ".1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, ok := parseVersion(text); ok && !v.atLeast(version{}) {
			t.Errorf("%q: %v", text, v)
		}
	})
}
