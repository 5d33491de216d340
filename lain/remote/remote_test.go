package remote

import (
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]Target{
		"lain:hello":                        {Host{Name: "lain"}, "hello"},
		"lain:/hello":                       {Host{Name: "lain"}, "hello"},
		"lain:hello.git":                    {Host{Name: "lain"}, "hello"},
		"lain@host.example.com:a-1":         {Host{User: "lain", Name: "host.example.com"}, "a-1"},
		"[::1]:hello":                       {Host{Name: "::1"}, "hello"},
		"lain@[fd00::7]:hello":              {Host{User: "lain", Name: "fd00::7"}, "hello"},
		"ssh://lain/hello":                  {Host{Name: "lain"}, "hello"},
		"ssh://lain@10.0.0.1:2222/hello":    {Host{User: "lain", Name: "10.0.0.1", Port: 2222}, "hello"},
		"ssh://lain@[::1]:2222/hello.git":   {Host{User: "lain", Name: "::1", Port: 2222}, "hello"},
		"ssh://any.body-1@h_1.example/app0": {Host{User: "any.body-1", Name: "h_1.example"}, "app0"},
	} {
		host, app, err := ParseURL(raw)
		if err != nil || host != want.Host || app != want.App {
			t.Errorf("ParseURL(%q) = %+v, %q, %v", raw, host, app, err)
		}
	}
}

func TestParseURLTakesNothingElse(t *testing.T) {
	for _, raw := range []string{
		"", "hello", "/srv/hello", "./lain:hello", "../x", "file:///srv/hello", "https://host/hello", "git://host/hello",
		"git@github.com:owner/repo.git", "ssh://git@github.com/owner/repo.git", "ssh://host/~me/hello", "lain:", "lain:Hello",
		"lain:a/b", "lain:-x", "lain:hello ", "lain:hello\n", "lain:lain", "ssh://host", "ssh://host/", "ssh:///hello", "ssh://host/hello?x=1",
		"ssh://host/hello?", "ssh://host/hello#x", "ssh://lain:secret@host/hello", "ssh://host:0/hello", "ssh://host:65536/hello", "ssh://host:x/hello",
		"ssh://host/%68ello", "ssh://-oProxyCommand=x/hello", "-oProxyCommand=x:hello", "-l@host:hello", "@host:hello", "a b@host:hello", strings.Repeat("h", 254) + ":hello",
		strings.Repeat("u", 65) + "@host:hello", ".host:hello", "hö:hello", "h/st:hello",
		"ho st:hello", "$(id):hello", "[::1:hello", "[]:hello", "ext::sh:hello", "ssh://@host/hello/",
	} {
		if host, app, err := ParseURL(raw); err == nil {
			t.Errorf("ParseURL(%q) = %+v, %q", raw, host, app)
		}
	}
}

func TestHost(t *testing.T) {
	for raw, want := range map[string]struct {
		args, url, text string
	}{
		"lain":                  {"-- lain", "lain:hello", "lain"},
		"lain@host":             {"-l lain -- host", "lain@host:hello", "lain@host"},
		"ssh://lain@host:2222":  {"-p 2222 -l lain -- host", "ssh://lain@host:2222/hello", "ssh://lain@host:2222"},
		"ssh://host/":           {"-- host", "host:hello", "host"},
		"ssh://lain@[::1]:2222": {"-p 2222 -l lain -- ::1", "ssh://lain@[::1]:2222/hello", "ssh://lain@[::1]:2222"},
		"ssh://[::1]":           {"-- ::1", "[::1]:hello", "::1"},
		"[::1]":                 {"-- ::1", "[::1]:hello", "::1"},
	} {
		h, err := ParseHost(raw)
		if err != nil || strings.Join(h.Args(), " ") != want.args || h.URL("hello") != want.url || h.String() != want.text {
			t.Errorf("ParseHost(%q) = %q, %q, %q, %v", raw, h.Args(), h.URL("hello"), h, err)
		}
	}
	for _, raw := range []string{"", "-v", "ssh://host/app", "ssh://", "a@b@c", "host:2222", "ho st", "lain@"} {
		if h, err := ParseHost(raw); err == nil {
			t.Errorf("ParseHost(%q) = %+v", raw, h)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"lain:hello", "ssh://lain@host:2222/hello", "[::1]:a", "lain@[::1]:a.git", "ssh://[::1%25eth0]/a", "-x:a", "git@github.com:a/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		host, app, err := ParseURL(raw)
		if err != nil {
			return
		}
		if strings.HasPrefix(host.Name, "-") || strings.HasPrefix(host.User, "-") {
			t.Fatalf("ParseURL(%q) lets through an option: %+v", raw, host)
		}
		again, name, err := ParseURL(host.URL(app))
		if err != nil || again != host || name != app {
			t.Fatalf("%q is written %q, which reads %+v, %q, %v", raw, host.URL(app), again, name, err)
		}
	})
}

func TestList(t *testing.T) {
	got := List("lain\tlain:a (fetch)\nlain\tlain:b (push)\norigin\t/tmp/x y (fetch) [blob:none]\norigin\t/tmp/x y (push)\nodd\n")
	if len(got) != 2 || got[0] != (Remote{"lain", "lain:b"}) || got[1] != (Remote{"origin", "/tmp/x y"}) {
		t.Errorf("got %+v", got)
	}
}

func TestChoose(t *testing.T) {
	origin := Remote{"origin", "git@github.com:me/hello.git"}
	one := []Remote{origin, {"lain", "lain:hello"}}
	same := []Remote{{"a", "lain:hello"}, {"b", "lain:other"}}
	twice := []Remote{{"a", "lain:hello"}, {"b", "lain:hello.git"}}
	two := []Remote{origin, {"prod", "ssh://lain@p:2222/hello"}, {"test", "lain:hello"}}
	for name, c := range map[string]struct {
		all  []Remote
		want Want
		host string
		app  lain.AppName
		no   string // in the refusal
	}{
		"the only one":               {one, Want{}, "lain", "hello", ""},
		"another application":        {one, Want{App: "other"}, "lain", "other", ""},
		"none":                       {[]Remote{origin}, Want{}, "", "", "no git remote here leads to a Lain"},
		"none at all":                {nil, Want{Any: true}, "", "", "no git remote here leads to a Lain"},
		"a host alone":               {nil, Want{Host: "lain"}, "lain", "", ""},
		"a host and an application":  {two, Want{Host: "ssh://x:1", App: "hello"}, "ssh://x:1", "hello", ""},
		"a wrong host":               {nil, Want{Host: "-x"}, "", "", "not a host's name"},
		"a wrong application":        {one, Want{App: "A"}, "", "", "not an application name"},
		"named":                      {two, Want{Remote: "prod"}, "ssh://lain@p:2222", "hello", ""},
		"named, another application": {two, Want{Remote: "test", App: "x"}, "lain", "x", ""},
		"named, not ours":            {two, Want{Remote: "origin"}, "", "", "does not lead to a Lain"},
		"named, not there":           {two, Want{Remote: "x"}, "", "", "-r prod"},
		"named, nothing there":       {nil, Want{Remote: "x"}, "", "", "lain create"},
		"several":                    {two, Want{}, "", "", "-r test"},
		"several hosts, any app":     {two, Want{Any: true}, "", "", "2 git remotes"},
		"one host, several apps":     {same, Want{}, "", "", "2 git remotes"},
		"one host, any app":          {same, Want{Any: true}, "lain", "", ""},
		"one host, an app named":     {same, Want{App: "other"}, "lain", "other", ""},
		"twice the same":             {twice, Want{}, "lain", "hello", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(c.all, c.want)
			said := strings.Join(fault.Lines(err), "\n")
			if (err != nil) != (c.no != "") || !strings.Contains(said, c.no) {
				t.Fatalf("said %q", said)
			}
			if err == nil && (got.Host.String() != c.host || got.App != c.app) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
