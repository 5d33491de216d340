package conf

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lain.internal/lain/lain"
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
		t.Run(name, func(t *testing.T) { nginxTest(t, apps) })
	}
}

func nginxTest(t *testing.T, apps []App) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lain-conf-") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m := frame(apps...)
	m.User = ""
	m.Listen = []string{"127.0.0.1:18080", "[::1]:18080"}
	m.Paths = Paths{PID: dir + "/pid", Temp: dir + "/temp", AccessLog: dir + "/access", ErrorLog: dir + "/error",
		Control: dir + "/control", Again: dir + "/again"}
	if err := os.Mkdir(m.Paths.Temp, 0o755); err != nil {
		t.Fatal(err)
	}
	config, err := Render(m)
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
