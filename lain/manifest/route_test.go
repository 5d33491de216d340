package manifest

import (
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// TestRoutes follows LAIN 1.6.1. The mountpoints of each proc are its words; routes are host+path=proc.
func TestRoutes(t *testing.T) {
	cases := []struct {
		name, procs string
		domains     []string
		want        string // or the error
	}{
		{"web gets the own hosts", "web:", []string{"a.test", "B.test"}, "hello.a.test/=web hello.b.test/=web"},
		{"a domain twice", "web:", []string{"a.test", "A.TEST"}, "hello.a.test/=web"},
		{"no domain", "web: {mountpoint: [x.test, /y]}", nil, "x.test/=web"},
		{"web keeps the own hosts", "web: {mountpoint: [x.test]}", []string{"a.test"}, "x.test/=web hello.a.test/=web"},
		{"web alone at /", "web: {mountpoint: [/]}", []string{"a.test"}, "hello.a.test/=web"},
		{"a path of web", "web: {mountpoint: [/x]}", []string{"a.test"}, "hello.a.test/x/=web hello.a.test/=web"},
		{"another proc", "web.api: {mountpoint: [/api, API.x.test/V1/]}", []string{"a.test"}, "hello.a.test/api/=api api.x.test/V1/=api"},
		{"host case is no difference", "web: {mountpoint: [X.test, x.TEST]}", nil, "lain.yaml:3: web lists x.test/ twice"},
		{"path case is one", "web: {mountpoint: [x.test/a, x.test/A]}", nil, "x.test/a/=web x.test/A/=web"},
		{"a slash is none", "web: {mountpoint: [x.test/a, x.test/a/]}", nil, "lain.yaml:3: web lists x.test/a/ twice"},
		{"own host by name and by path", "web.api: {mountpoint: [/a, hello.a.test/a]}", []string{"a.test"}, "lain.yaml:3: api lists hello.a.test/a/ twice"},
		{"two procs", "web: {mountpoint: [x.test]}\nweb.b: {mountpoint: [x.test]}", nil, "lain.yaml:4: web and b both answer at x.test/"},
		{"the own host taken before web", "web.b: {mountpoint: [hello.a.test]}\nweb:", []string{"a.test"}, "lain.yaml:4: b and web both answer at hello.a.test/"},
		{"workers have none", "worker: {port: 80}", []string{"a.test"}, ""},
		{"a bad domain", "web:", []string{"a_b.test"}, "lain.yaml:1: hello.a_b.test is not a host name: use letters, digits, - and ."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, found := Parse("lain.yaml", []byte(head+c.procs+"\n"))
			if m == nil {
				t.Fatal(found.Err())
			}
			routes, err := m.Routes(c.domains)
			if got := routesText(routes, err); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if f := fault.Of(err); f != nil && (f.Kind != fault.Invalid || f.Excerpt == "" || f.Hint == "") {
				t.Errorf("the error lacks something: %+v", f)
			}
		})
	}
}

func routesText(routes []lain.Route, err error) string {
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, r := range routes {
		words = append(words, r.Host+r.Path+"="+string(r.Proc))
	}
	return strings.Join(words, " ")
}

// A manifest made by hand has no lines, and its entries were never checked.
func TestRoutes_ofAManifestMadeByHand(t *testing.T) {
	m := &Manifest{AppName: "hello", Procs: []Proc{{Name: "web", Type: lain.Web, Mountpoint: []string{"x;y"}}}}
	if _, err := m.Routes([]string{"a.test"}); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestCheckHost(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, good := range []string{"a", "a.b", "xn--bcher-kva.example", "1.example", "a-b.c", label + ".x", "localhost"} {
		if bad := checkHost(good); bad != "" {
			t.Errorf("%s: %s", good, bad)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a_b", "-a", "a-", "a.-b", "A", "a b", "a/b", "a:1", "a\n", "*.a", "~a", "a;b", "ä",
		label + "a", strings.Repeat("a.", 127) + "com", "1", "1.2.3.4", "a.1", "0x7f.0x1", "127.1", "::1", "[::1]"} {
		if checkHost(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for _, good := range []string{"/", "/a/", "/a/b/", "/.well-known/x~y_z/", "/..a/", "/.../"} {
		if bad := checkPath(good); bad != "" {
			t.Errorf("%s: %s", good, bad)
		}
	}
	for _, bad := range []string{"", "a/", "/a", "//", "/a//b/", "/../", "/a/../", "/./", "/a b/", "/a;b/", "/a{b/", "/%2e/", "/a\n/", "/$x/", "/a\"/", "/ä/", "/a?b/", "/a#b/", "/\\/", "/" + strings.Repeat("a", 300) + "/"} {
		if checkPath(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
