package conf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/router/nginx"
)

// What the checks let through, the real nginx takes: the longest names, every allowed character, all
// kinds of addresses.
func TestRender_NginxAccepts(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, ".")
	odd := App{Name: "a--b", Routes: []lain.Route{
		{Host: longest, Path: "/", Proc: "we--b"},
		{Host: "127.0.0.1", Path: "/aZ09._~@+,=-/x/", Proc: "we--b"},
		{Host: "a_b.c", Path: "/~/", Proc: "w"},
		{Host: "a_b.c", Path: "/=/", Proc: "w"},
		{Host: "a_b.c", Path: "/" + strings.Repeat("p", 253) + "/", Proc: "w"},
		{Host: "0", Path: "/@lain_again/", Proc: "gone"},
	}, Endpoints: map[lain.ProcName][]string{"we--b": {"[2001:db8::1]:65535", "127.0.0.1:1"}, "w": {"10.0.0.1:80"}}}
	for name, apps := range map[string][]App{"none": nil, "usual": {hello()}, "odd": {odd}, "many": many(300)} {
		t.Run(name, func(t *testing.T) {
			nginxTest(t, func(p Paths) (Config, error) {
				m := frame(apps...)
				m.User, m.Paths, m.Stream = "", p, stream(t)
				return Render(m)
			})
		})
	}
	t.Run("edge", func(t *testing.T) {
		nginxTest(t, func(p Paths) (Config, error) {
			e := edge()
			e.User, e.Paths, e.Listen = "", p, []string{"127.0.0.1:18080", "[::1]:18080"}
			return RenderEdge(e)
		})
	})
	t.Run("edge with TLS", func(t *testing.T) {
		nginxTest(t, func(p Paths) (Config, error) {
			e := secureEdge()
			e.User, e.Paths, e.Listen, e.Secure, e.HTTP2 = "", p, []string{"127.0.0.1:18080"}, []string{"127.0.0.1:18443", "[::1]:18443"}, []string{"127.0.0.1:18081"}
			return RenderEdge(e)
		})
	})
	t.Run("https only", func(t *testing.T) {
		nginxTest(t, func(p Paths) (Config, error) {
			m := httpsOnly(443)
			m.User, m.Paths, m.Stream = "", p, stream(t)
			return Render(m)
		})
	})
}

// stream is the module of this machine's nginx.
func stream(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nginx", "-V").CombinedOutput()
	file, ok := nginx.StreamModule(string(out))
	if err != nil || !ok {
		t.Fatalf("no stream module: %v\n%s", err, out)
	}
	return file
}

func nginxTest(t *testing.T, render func(Paths) (Config, error)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lain-conf-") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	paths := Paths{PID: dir + "/pid", Temp: dir + "/temp", AccessLog: dir + "/access", ErrorLog: dir + "/error",
		Control: dir + "/control", Front: dir + "/front", Again: dir + "/again", Calls: dir + "/calls"}
	if err := errors.Join(os.Mkdir(paths.Temp, 0o755), os.Mkdir(paths.Calls, 0o755)); err != nil {
		t.Fatal(err)
	}
	config, err := render(paths)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, config.Text, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("nginx", "-t", "-q", "-p", dir, "-e", "stderr", "-c", file).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("nginx: %v\n%s", err, out)
	}
}
