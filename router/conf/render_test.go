package conf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lain.internal/lain/lain"
)

var update = flag.Bool("update", false, "write the golden files")

func frame(apps ...App) Model {
	return Model{
		Paths: Paths{PID: "/run/lain/router/nginx.pid", Temp: "/var/lib/lain/router/temp",
			AccessLog: "/var/lib/lain/router/logs/access.log", ErrorLog: "/var/lib/lain/router/logs/error.log",
			Control: "/run/lain/router/control.sock", Front: "/run/lain/router/front.sock", Again: "/run/lain/router/again.sock", Calls: "/run/lain/router/calls"},
		User: "www-data", MaxFiles: 20000, Apps: apps,
	}
}

func edge() Edge {
	return Edge{Paths: frame().Paths, User: "www-data", Listen: []string{"0.0.0.0:80", "[::]:80"}, MaxFiles: 20000}
}

func secureEdge() Edge {
	e := edge()
	e.HTTP2 = []string{"0.0.0.0:81"}
	e.Secure, e.Hosts = []string{"0.0.0.0:443", "[::]:443"}, "/var/lib/lain/router/certs/hosts"
	return e
}

// httpsOnly is an application that is in part for https alone.
func httpsOnly(port int) Model {
	m := frame(App{Name: "s", Routes: []lain.Route{
		{Host: "s.example.org", Path: "/", Proc: "web", HTTPSOnly: true},
		{Host: "s.example.org", Path: "/gone/", Proc: "gone", HTTPSOnly: true},
		{Host: "s.example.org", Path: "/plain/", Proc: "web"},
	}, Endpoints: map[lain.ProcName][]string{"web": {"10.1.0.1:80"}}})
	m.HTTPSPort = port
	return m
}

func hello() App {
	return App{
		Name: "hello",
		Routes: []lain.Route{
			{Host: "hello.lain.localhost", Path: "/", Proc: "web"},
			{Host: "hello.lain.localhost", Path: "/api/", Proc: "api"},
			{Host: "hello.lain.localhost", Path: "/api/v2/", Proc: "web"},
			{Host: "www.example.org", Path: "/only/", Proc: "web"},
		},
		Endpoints: map[lain.ProcName][]string{
			"web": {"10.1.0.2:32769", "10.1.0.1:32768", "[::ffff:10.1.0.1]:32768"}, "worker": {"10.1.0.9:1"},
		},
	}
}

func TestRender_Golden(t *testing.T) {
	other := App{Name: "a", Routes: []lain.Route{{Host: "a.lain.localhost", Path: "/", Proc: "web"}},
		Endpoints: map[lain.ProcName][]string{"web": {"[2001:db8::1]:8080"}}}
	one := frame()
	one.User, one.MaxFiles = "", 0
	for name, render := range map[string]func() (Config, error){
		"empty":      func() (Config, error) { return Render(one) },
		"apps":       func() (Config, error) { return Render(frame(hello(), other)) },
		"edge":       func() (Config, error) { return RenderEdge(edge()) },
		"edge-tls":   func() (Config, error) { return RenderEdge(secureEdge()) },
		"https-only": func() (Config, error) { return Render(httpsOnly(8443)) },
		"https-off":  func() (Config, error) { return Render(httpsOnly(0)) },
		"trial": func() (Config, error) {
			text, err := RenderTrial(frame().Paths, "/run/lain/trial.sock", []string{"/c/pairs/a.pem", "/c/pairs/b.pem"})
			return Config{Text: text}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".conf")
			if *update {
				if err := os.WriteFile(file, got.Text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got.Text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRender_SameContentSameGeneration(t *testing.T) {
	b := App{Name: "b"}
	one, err := Render(frame(hello(), b))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Render(frame(b, hello()))
	if err != nil {
		t.Fatal(err)
	}
	moved := hello()
	moved.Endpoints["web"] = []string{"10.1.0.3:1"}
	three, err := Render(frame(moved))
	if err != nil {
		t.Fatal(err)
	}
	if one.Generation != two.Generation || string(one.Text) != string(two.Text) {
		t.Error("the order of the applications changed the text")
	}
	if one.Generation == three.Generation {
		t.Error("another endpoint, the same generation")
	}
}

func TestCheckRoute(t *testing.T) {
	ok := lain.Route{Host: "a.example.org", Path: "/", Proc: "web"}
	long := strings.Repeat("a.", 200) + "org"
	for name, c := range map[string]struct {
		change func(*lain.Route)
		want   string // "": accepted
	}{
		"plain":               {func(r *lain.Route) {}, ""},
		"underscore":          {func(r *lain.Route) { r.Host = "a_b.example.org" }, ""},
		"deep path":           {func(r *lain.Route) { r.Path = "/a/b-c/d.e/" }, ""},
		"no host":             {func(r *lain.Route) { r.Host = "" }, "not a host name"},
		"upper case":          {func(r *lain.Route) { r.Host = "A.example.org" }, "not a host name"},
		"wildcard":            {func(r *lain.Route) { r.Host = "*.example.org" }, "not a host name"},
		"regular expression":  {func(r *lain.Route) { r.Host = "~.*" }, "not a host name"},
		"port":                {func(r *lain.Route) { r.Host = "a.example.org:80" }, "not a host name"},
		"injection in a host": {func(r *lain.Route) { r.Host = "a; } server { listen 1" }, "not a host name"},
		"newline in a host":   {func(r *lain.Route) { r.Host = "a.org\n" }, "not a host name"},
		"long host":           {func(r *lain.Route) { r.Host = long }, "not a host name"},
		"no slash before":     {func(r *lain.Route) { r.Path = "a/" }, "not a path"},
		"no slash behind":     {func(r *lain.Route) { r.Path = "/a" }, "not a path"},
		"variable":            {func(r *lain.Route) { r.Path = "/$host/" }, "not a path"},
		"quote":               {func(r *lain.Route) { r.Path = `/"/` }, "not a path"},
		"dots":                {func(r *lain.Route) { r.Path = "/../" }, "not a path"},
		"empty segment":       {func(r *lain.Route) { r.Path = "//" }, "not a path"},
		"percent":             {func(r *lain.Route) { r.Path = "/%41/" }, "not a path"},
		"proc":                {func(r *lain.Route) { r.Proc = "web;" }, "not a proc name"},
		"https_only":          {func(r *lain.Route) { r.HTTPSOnly = true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := ok
			c.change(&r)
			err := CheckRoute(r)
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if _, err := Render(frame(App{Name: "x", Routes: []lain.Route{r}})); (err == nil) != (c.want == "") {
				t.Errorf("Render and CheckRoute do not agree: %v", err)
			}
		})
	}
}

func TestRender_Refuses(t *testing.T) {
	route := []lain.Route{{Host: "h.org", Path: "/", Proc: "web"}}
	for name, m := range map[string]Model{
		"two apps on a host": frame(App{Name: "a", Routes: route}, App{Name: "b", Routes: route}),
		"two procs on a path": frame(App{Name: "a", Routes: append([]lain.Route{
			{Host: "h.org", Path: "/", Proc: "api"}}, route...)}),
		"a name as endpoint": frame(App{Name: "a", Routes: route,
			Endpoints: map[lain.ProcName][]string{"web": {"localhost:80"}}}),
		"a zone": frame(App{Name: "a", Routes: route,
			Endpoints: map[lain.ProcName][]string{"web": {"[fe80::1%eth0;]:80"}}}),
		"a reserved app": frame(App{Name: "lain", Routes: route}),
		"a hostile app":  frame(App{Name: "a{", Routes: route}),
		"a hostile path": {Paths: Paths{PID: "/run/a;b"}},
		"a hostile user": {Paths: frame().Paths, User: "root;"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Render(m); err == nil {
				t.Errorf("rendered:\n%s", got.Text)
			}
		})
	}
}

func TestRenderEdge_Refuses(t *testing.T) {
	for name, spoil := range map[string]func(*Edge){
		"no listener":                func(e *Edge) { e.Listen = nil },
		"a hostile listener":         func(e *Edge) { e.Listen = []string{"127.0.0.1:80; user root"} },
		"a hostile path":             func(e *Edge) { e.Paths.Front = "/run/a;b" },
		"a hostile user":             func(e *Edge) { e.User = "root;" },
		"a hostile listener for TLS": func(e *Edge) { e.Secure = []string{"127.0.0.1:443 proxy_protocol"} },
		"a hostile folder of hosts":  func(e *Edge) { e.Hosts = "/c/$http_evil" },
	} {
		t.Run(name, func(t *testing.T) {
			e := secureEdge()
			spoil(&e)
			if got, err := RenderEdge(e); err == nil {
				t.Errorf("rendered:\n%s", got.Text)
			}
		})
	}
}

// Many makes n applications of two hosts, two routes and three endpoints each.
func many(n int) []App {
	apps := make([]App, n)
	for i := range apps {
		name := fmt.Sprintf("app-%d", i)
		apps[i] = App{Name: lain.AppName(name), Routes: []lain.Route{
			{Host: name + ".lain.localhost", Path: "/", Proc: "web"},
			{Host: name + ".lain", Path: "/", Proc: "web"},
			{Host: name + ".lain.localhost", Path: "/api/", Proc: "api"}},
			Endpoints: map[lain.ProcName][]string{"web": {"10.0.0.1:32768", "10.0.0.2:32768", "10.0.0.3:32768"}, "api": {"10.0.0.4:1000"}}}
	}
	return apps
}

func BenchmarkRender1000Apps(b *testing.B) {
	m := frame(many(1000)...)
	b.ReportAllocs()
	for b.Loop() {
		c, err := Render(m)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(c.Text)))
	}
}
