package llb

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	bk "github.com/moby/buildkit/client/llb"

	"lain.internal/lain/lain/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func full() Graph {
	return Graph{
		Cluster: "home", App: "hello", Tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
		Base:     Image{Ref: "docker.io/library/golang:1.26", ID: "sha256:aa", Env: []string{"PATH=/usr/local/go/bin:/bin", "GOPATH=/go"}},
		DestBase: Image{Ref: "docker.io/library/debian:stable-slim", ID: "sha256:bb", Env: []string{"PATH=/bin"}},
		Prepared: "docker.io/library/hello:prepare-cc",
		Manifest: &manifest.Manifest{
			AppName: "hello",
			Build: manifest.Build{
				Base: "golang:1.26", Script: []string{"go build -o hello # all of it", "cat <<E > VERSION\n$V\nE"}, Args: []string{"V=1", "GOPATH=/other"},
				Prepare: &manifest.Prepare{Version: "3", Script: []string{"go mod download"}, Keep: []string{"node_modules", "it's"}, Args: []string{"PROXY=direct"}},
			},
			Test: &manifest.Test{Script: []string{"go vet", "go test"}},
			Release: &manifest.Release{
				DestBase: "debian:stable-slim", Script: []string{"strip hello"},
				Copy: []manifest.Copy{{Src: "hello", Dest: "/usr/bin/hello"}, {Src: "$GOPATH/bin/*", Dest: "/opt/bin/"}, {Src: "rootfs/*", Dest: "/"}, {Src: "a b;c", Dest: "it's here"}},
			},
		},
	}
}

func bare() Graph {
	g := full()
	g.Base = Image{Ref: "docker.io/library/node:20", ID: "sha256:aa", User: "node:staff"}
	g.Manifest = &manifest.Manifest{AppName: "hello", Build: manifest.Build{Base: "node:20"}}
	return g
}

func TestGraphs(t *testing.T) {
	scratch := full()
	scratch.Manifest.Release = &manifest.Release{DestBase: "scratch", Copy: []manifest.Copy{{Src: "hello", Dest: "/hello"}}}
	scratch.DestBase = Image{Ref: Scratch}
	kept, asUser := full(), bare()
	for _, g := range []*Graph{&kept, &asUser} {
		g.Manifest.Build.Script, g.Manifest.Build.Volumes = []string{"make"}, []string{"/root/.cache", "/opt/kept"}
		g.Manifest.Build.Secrets = []manifest.BuildSecret{{Name: "token", Target: "/run/secrets/token"}, {Name: "gh", Target: "/root/.netrc"}}
		g.Secrets = map[string]string{"token": "v3", "gh": "v1"}
	}
	cases := map[string]bk.State{
		"prepare-kept": kept.Prepare(), "build-kept": kept.Build(), "build-kept-as-user": asUser.Build(), "test-kept": kept.Test(),
		"prepare": full().Prepare(), "build": full().Build(), "test": full().Test(), "release": full().Release(),
		"release-on-scratch": scratch.Release(), "bare-release-as-user": bare().Release(), "bare-test": bare().Test(),
	}
	for name, st := range cases {
		t.Run(name, func(t *testing.T) {
			got, file := dump(t, st), filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got != string(want) {
				t.Errorf("%v; the graph is now:\n%s\nIf that is what you want: go test ./builder/llb -update", err, got)
			}
		})
	}
}

func TestKeyNamesWhatIsBuilt(t *testing.T) {
	same := full()
	if same.Key() != full().Key() {
		t.Fatal("one input, two keys")
	}
	changes := map[string]func(*Graph){
		"tree":         func(g *Graph) { g.Tree = "other" },
		"base":         func(g *Graph) { g.Base.ID = "sha256:other" },
		"dest_base":    func(g *Graph) { g.DestBase.ID = "sha256:other" },
		"build script": func(g *Graph) { g.Manifest.Build.Script[0] = "make" },
		"build arg":    func(g *Graph) { g.Manifest.Build.Args[0] = "V=2" },
		"prepare":      func(g *Graph) { g.Manifest.Build.Prepare = nil },
		"release":      func(g *Graph) { g.Manifest.Release = nil },
		"copy":         func(g *Graph) { g.Manifest.Release.Copy[0].Dest = "/x" },
		"test":         func(g *Graph) { g.Manifest.Test = nil },
		"app":          func(g *Graph) { g.App = "other" },
		"secret":       func(g *Graph) { g.Secrets = map[string]string{"token": "v2"} },
	}
	for what, change := range changes {
		g := full()
		change(&g)
		if g.Key() == same.Key() {
			t.Errorf("another %s has the same key", what)
		}
	}
}

func TestPrepareKeyNamesWhatIsPrepared(t *testing.T) {
	inputs := map[string]string{"go.sum": "1"}
	want := full().PrepareKey(inputs)
	for what, change := range map[string]func(*Graph){
		"tree":   func(g *Graph) { g.Tree = "other" },
		"build":  func(g *Graph) { g.Manifest.Build.Script[0] = "make" },
		"commit": func(g *Graph) { g.DestBase.ID = "sha256:other" },
	} {
		g := full()
		if change(&g); g.PrepareKey(inputs) != want {
			t.Errorf("another %s makes another prepare image", what)
		}
	}
	for what, change := range map[string]func(*Graph){
		"base":    func(g *Graph) { g.Base.ID = "sha256:other" },
		"script":  func(g *Graph) { g.Manifest.Build.Prepare.Script[0] = "other" },
		"keep":    func(g *Graph) { g.Manifest.Build.Prepare.Keep = nil },
		"args":    func(g *Graph) { g.Manifest.Build.Prepare.Args = nil },
		"version": func(g *Graph) { g.Manifest.Build.Prepare.Version = "4" },
		"app":     func(g *Graph) { g.App = "other" },
		"cluster": func(g *Graph) { g.Cluster = "other" },
		"secret":  func(g *Graph) { g.Secrets = map[string]string{"token": "v2"} },
	} {
		g := full()
		if change(&g); g.PrepareKey(inputs) == want {
			t.Errorf("another %s gives the same prepare image", what)
		}
	}
	if full().PrepareKey(map[string]string{"go.sum": "2"}) == want {
		t.Error("another lock file gives the same prepare image")
	}
}

// sh runs a step's text with the machine's shell, where /lain/app and the mount are directories of the test.
func sh(t *testing.T, text string, env ...string) (app, out, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	app, out = filepath.Join(dir, "app"), filepath.Join(dir, "out")
	if err := os.Mkdir(app, 0o755); err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer(Workdir, app, outDir, out).Replace(text)
	cmd := exec.Command("/bin/sh", "-c", text)
	var errs strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = app, append(os.Environ(), env...), &errs
	_ = cmd.Run()
	return app, out, errs.String(), cmd.ProcessState.ExitCode()
}

func TestScriptNamesTheEntryThatFailed(t *testing.T) {
	cases := map[string]struct {
		entries []string
		code    int
		entry   int // -1: none
	}{
		"all well":             {[]string{"true", "true # comment"}, 0, -1},
		"first":                {[]string{"exit 3", "true"}, 3, 0},
		"last":                 {[]string{"true", "true", "false"}, 1, 2},
		"own shell":            {[]string{"cd /; X=1", `test "$PWD" != / && test -z "$X"`}, 0, -1},
		"errexit in the last":  {[]string{"true", "set -e; false; true"}, 1, 1},
		"not found":            {[]string{"no-such-program-here"}, 127, 0},
		"ends in here-doc":     {[]string{"cat > x <<E\n)\nE", "grep -q ')' x"}, 0, -1},
		"ends in a background": {[]string{"true & wait", "exit 9"}, 9, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, stderr, code := sh(t, script(c.entries))
			entry := -1
			for line := range strings.SplitSeq(stderr, "\n") {
				if i, ok := FailedEntry(line); ok {
					entry = i
				}
			}
			if code != c.code || entry != c.entry {
				t.Errorf("exit code %d, entry %d; want %d, %d (%q)", code, entry, c.code, c.entry, stderr)
			}
		})
	}
}

func TestCleanUpKeepsExactNames(t *testing.T) {
	make := "mkdir keep keep-x .hidden; touch -- file \"it's\" .dot ..odd -rf '*' 'a b'; ln -s / link\n"
	app, _, stderr, code := sh(t, make+cleanUp([]string{"keep", "it's", "*", "missing", "deep/er"}))
	left, _ := filepath.Glob(filepath.Join(app, "*"))
	hidden, _ := filepath.Glob(filepath.Join(app, ".*"))
	var names []string
	for _, p := range append(left, hidden...) {
		names = append(names, filepath.Base(p))
	}
	if got := strings.Join(names, " "); code != 0 || got != "* it's keep" {
		t.Errorf("left %q, exit code %d, %s", got, code, stderr)
	}
}

func TestCopyOut(t *testing.T) {
	prepare := "mkdir -p dir/sub 'a b' g; touch file dir/sub/x 'a b/c' g/1 g/2 \"it's\"\n"
	cases := map[string]struct {
		copies []manifest.Copy
		want   string // files below the mount
	}{
		"renamed":              {[]manifest.Copy{{Src: "file", Dest: "/usr/bin/hello"}}, "0/hello"},
		"into":                 {[]manifest.Copy{{Src: "file", Dest: "/usr/bin/"}}, "0/file"},
		"directory, renamed":   {[]manifest.Copy{{Src: "dir", Dest: "/etc/x"}}, "0/x/sub/x"},
		"directory, into":      {[]manifest.Copy{{Src: "dir", Dest: "/etc/"}}, "0/dir/sub/x"},
		"trailing slash":       {[]manifest.Copy{{Src: "dir/", Dest: "/etc"}}, "0/etc/sub/x"},
		"glob to the root":     {[]manifest.Copy{{Src: "g/*", Dest: "/"}}, "0/1 0/2"},
		"glob, renamed":        {[]manifest.Copy{{Src: "g/*", Dest: "/opt"}}, "0/opt/1 0/opt/2"},
		"variable":             {[]manifest.Copy{{Src: "$HERE/g/1", Dest: "/one"}}, "0/one"},
		"variable, braces":     {[]manifest.Copy{{Src: "${HERE}/g/1", Dest: "/one"}}, "0/one"},
		"space":                {[]manifest.Copy{{Src: "a b", Dest: "/a b"}}, "0/a b/c"},
		"quote":                {[]manifest.Copy{{Src: "it's", Dest: "/$(touch pwned)'; touch pwned #"}}, "0/$(touch pwned)'; touch pwned #"},
		"dot":                  {[]manifest.Copy{{Src: "g/.", Dest: "/srv"}}, "0/srv/1 0/srv/2"},
		"two":                  {[]manifest.Copy{{Src: "file", Dest: "/a"}, {Src: "file", Dest: "/b"}}, "0/a 1/b"},
		"src is no shell":      {[]manifest.Copy{{Src: "$(touch pwned)", Dest: "/a"}}, ""},
		"src is no shell here": {[]manifest.Copy{{Src: "x;touch pwned", Dest: "/a"}}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := prepare + "HERE=$PWD\n" + copyOut(c.copies)
			app, out, stderr, code := sh(t, text)
			var got []string
			_ = filepath.Walk(out, func(p string, info os.FileInfo, err error) error {
				if err == nil && !info.IsDir() {
					rel, _ := filepath.Rel(out, p)
					got = append(got, rel)
				}
				return nil
			})
			if s := strings.Join(got, " "); s != c.want || (code == 0) != (c.want != "") {
				t.Errorf("copied %q, want %q; exit code %d, %s", s, c.want, code, stderr)
			}
			if pwned, _ := filepath.Glob(filepath.Join(app, "pwned*")); pwned != nil {
				t.Error("a path was run as a program")
			}
		})
	}
}

func TestDestination(t *testing.T) {
	for dest, want := range map[string][2]string{
		"/usr/bin/x": {"/usr/bin/", "x"}, "/usr/bin/": {"/usr/bin", ""}, "/": {"/", ""}, "/x": {"/", "x"},
		"x": {"/lain/app/", "x"}, "x/": {"/lain/app/x", ""}, ".": {"/lain/app", ""}, "/a/../b": {"/", "b"}, "/a/..": {"/", ""},
	} {
		if dir, name := destination(dest); dir != want[0] || name != want[1] {
			t.Errorf("%s: %s and %q, want %v", dest, dir, name, want)
		}
	}
}

func TestEntry(t *testing.T) {
	g := full()
	for _, c := range []struct {
		step string
		i    int
		want string
	}{{TestScript, 1, "( go test )"}, {PrepareScript, 0, "( go mod download )"}, {ReleaseCopy, 0, "hello to /usr/bin/hello"}, {TestScript, 9, ""}, {"image x", 0, ""}} {
		if got := g.Entry(c.step, c.i); got != c.want {
			t.Errorf("%s[%d] is %q", c.step, c.i, got)
		}
	}
}
