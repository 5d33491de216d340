package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCreate(t *testing.T) {
	d := newDesk(t).repository()
	got := d.lain("create")
	if got.code != 0 || strings.Join(got.ssh, "|") != "-T|--|lain|apps create hello" || d.git("remote", "get-url", "lain") != "lain:hello" {
		t.Fatalf("%d, %q, %s%s", got.code, got.ssh, got.out, got.err)
	}
	d.write("lain.yaml", "appname: named\n")
	if got := d.lain("create", "-r", "test"); got.code != 64 || got.ssh != nil || !strings.Contains(got.err, "lain.yaml") {
		t.Errorf("a lain.yaml with errors: %d, %s", got.code, got.err)
	}
	d.write("lain.yaml", strings.Replace(good, "hello", "named", 1))
	got = d.lain("create", "-r", "test", "--host", "ssh://lain@10.0.0.1:2222")
	if got.code != 0 || strings.Join(got.ssh, "|") != "-T|-p|2222|-l|lain|--|10.0.0.1|apps create named" || d.git("remote", "get-url", "test") != "ssh://lain@10.0.0.1:2222/named" {
		t.Errorf("%d, %q, %s%s", got.code, got.ssh, got.out, got.err)
	}
	if got := d.lain("create", "hello"); got.code != 0 || got.ssh == nil {
		t.Errorf("with the remote it would add: %d, %s", got.code, got.err)
	}
	if got := d.lain("create", "other"); got.code != 75 || got.ssh != nil || !strings.Contains(got.err, "leads to lain:hello") {
		t.Errorf("a remote that leads elsewhere: %d, %q, %s", got.code, got.ssh, got.err)
	}
	if got := d.lain("create", "-r", "a b"); got.code != 64 || got.ssh != nil || !strings.Contains(got.err, "cannot be the name of a git remote") {
		t.Errorf("a name that git does not take: %d, %q, %s", got.code, got.ssh, got.err)
	}
	d.env = append(d.env, "FAR_CODE=77")
	if got := d.lain("create", "-r", "more", "another"); got.code != 77 || strings.Contains(d.git("remote"), "more") {
		t.Errorf("what the server refuses: %d, %s", got.code, d.git("remote"))
	}
}

func TestCreateWantsTheObjectFormatOfTheRepository(t *testing.T) {
	d := newDesk(t)
	d.git("init", "-q", "--object-format=sha256")
	if got := d.lain("create"); got.code != 0 || got.ssh[len(got.ssh)-1] != "apps create hello --object-format sha256" {
		t.Errorf("%d, %q, %s", got.code, got.ssh, got.err)
	}
}

// A repository that git will not read is not one that is not there.
func TestWhatGitRefusesIsTold(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	d.env = append(d.env, "GIT_TEST_ASSUME_DIFFERENT_OWNER=1", "LANG=de_DE.UTF-8")
	for _, verb := range []string{"logs", "create"} {
		if got := d.lain(verb); got.code != 1 || !strings.Contains(got.err, "dubious ownership") || got.ssh != nil {
			t.Errorf("%s: %d, %s", verb, got.code, got.err)
		}
	}
}

func TestCreateNeedsARepositoryAndAName(t *testing.T) {
	d := newDesk(t)
	if got := d.lain("create"); got.code != 64 || !strings.Contains(got.err, "git init") || got.ssh != nil {
		t.Errorf("%d, %s", got.code, got.err)
	}
	d.dir = filepath.Join(d.dir, "Not a name")
	d.write("x", "")
	d.repository()
	if got := d.lain("create"); got.code != 64 || !strings.Contains(got.err, "cannot be named after the folder") || got.ssh != nil {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

func TestOpen(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	shown := filepath.Join(d.dir, "shown") // what a browser writes waits there until it is read
	if err := syscall.Mkfifo(shown, 0o600); err != nil {
		t.Fatal(err)
	}
	d.program("xdg-open", "#!/bin/sh\nprintf '%s\\n' \"$1\" > "+shown+"\n")
	for says, want := range map[string]struct {
		code int
		out  string
		err  string
	}{
		`{"urls":["http://hello.test:8080/","http://b/"]}`: {0, "http://hello.test:8080/\n", ""},
		`{"urls":[]}`:                     {66, "", "nothing of it answers on the web yet"},
		`{"urls":["file:///etc/passwd"]}`: {1, "", "not a URL"},
		`{"urls":["-x"]}`:                 {1, "", "not a URL"},
		`{"urls":["http://a/\u001b[2J"]}`: {1, "", "not a URL"},
		"no JSON":                         {1, "", "cannot be read"},
	} {
		d.env = append(d.env, "FAR_SAYS="+says)
		got := d.lain("open")
		if got.code != want.code || got.out != want.out || !strings.Contains(got.err, want.err) || got.ssh[len(got.ssh)-1] != "info hello --json" {
			t.Errorf("%s: %d, %q, %q, %s", says, got.code, got.ssh, got.out, got.err)
		}
	}
	d.env = append(d.env, "FAR_SAYS="+`{"urls":["http://print.test/"]}`, "DISPLAY=:7")
	if got := d.lain("open", "--print"); got.code != 0 || got.out != "http://print.test/\n" {
		t.Errorf("--print: %d, %s", got.code, got.err)
	}
	d.env = append(d.env, "FAR_SAYS="+`{"urls":["http://desktop.test/"]}`)
	if got := d.lain("open"); got.code != 0 {
		t.Fatalf("%d, %s", got.code, got.err)
	}
	if text, err := os.ReadFile(shown); err != nil || string(text) != "http://desktop.test/\n" {
		t.Errorf("browsers were shown %q, %v", text, err)
	}
}

func TestOpenNeedsAnApplication(t *testing.T) {
	if got := newDesk(t).lain("open", "--host", "lain"); got.code != 64 || !strings.Contains(got.err, "-a APP") || got.ssh != nil {
		t.Errorf("%d, %s", got.code, got.err)
	}
}

func TestInit(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:from-remote")
	d.write("go.mod", "module x\n\ngo 1.26\n")
	d.write("main.go", "package main\n")
	d.write("sub/x", "")
	if got := d.lain("init", "--dry-run"); got.code != 0 || !strings.HasPrefix(got.out, "appname: from-remote\n") {
		t.Errorf("dry: %d, %s%s", got.code, got.out, got.err)
	}
	top := d.dir
	d.dir = filepath.Join(top, "sub") // the file belongs to the root of the repository
	if got := d.lain("init", "-a", "other"); got.code != 0 || !strings.Contains(got.out, "for go") {
		t.Fatalf("%d, %s%s", got.code, got.out, got.err)
	}
	d.dir = top
	text, err := os.ReadFile(filepath.Join(top, "lain.yaml"))
	if err != nil || !strings.HasPrefix(string(text), "appname: other\n") {
		t.Fatalf("%q, %v", text, err)
	}
	if got := d.lain("manifest", "check"); got.code != 0 || got.out != "" {
		t.Errorf("check of it: %d, %s", got.code, got.out)
	}
	if got := d.lain("init", "-a", "third"); got.code != 75 || !strings.Contains(got.err, "is there already") {
		t.Errorf("again: %d, %s", got.code, got.err)
	}
	if again, _ := os.ReadFile(filepath.Join(top, "lain.yaml")); string(again) != string(text) {
		t.Errorf("it was overwritten: %q", again)
	}
}

func TestInitRefuses(t *testing.T) {
	d := newDesk(t)
	d.write("Pipfile", "")
	if got := d.lain("init"); got.code != 64 || !strings.Contains(got.err, "Pipfile only") {
		t.Errorf("%d, %s", got.code, got.err)
	}
	if err := os.Symlink("nowhere", filepath.Join(d.dir, "lain.yaml")); err != nil {
		t.Fatal(err)
	}
	d.write("index.html", "")
	if got := d.lain("init"); got.code != 75 || !strings.Contains(got.err, "is there already") {
		t.Errorf("a link that leads nowhere: %d, %s", got.code, got.err)
	}
}

const good, bad = "appname: hello\nbuild:\n  base: x\nweb:\n  cmd: ./x\n  prot: 80\n", "appname: hello\nbuild:\n  base: x\n  script: {a: b}\nweb:\n  port: x\n"

func TestManifestCheck(t *testing.T) {
	d := newDesk(t)
	if got := d.lain("manifest", "check"); got.code != 66 || !strings.Contains(got.err, "there is no file lain.yaml") {
		t.Errorf("no file: %d, %s", got.code, got.err)
	}
	d.write("lain.yaml", good)
	if got := d.lain("manifest", "check"); got.code != 0 || !strings.HasPrefix(got.out, "lain.yaml:6:3: warning: web has no key prot") {
		t.Errorf("a warning: %d, %s%s", got.code, got.out, got.err)
	}
	d.write("bad.yaml", bad)
	if got := d.lain("manifest", "check", "bad.yaml"); got.code != 1 || !strings.Contains(got.out, "bad.yaml:6:9: error: ") || got.err != "" {
		t.Errorf("an error: %d, %s%s", got.code, got.out, got.err)
	}
	got := d.lain("manifest", "check", "--json", "bad.yaml")
	var found []struct {
		Severity string
		Line     int
	}
	if err := json.Unmarshal([]byte(got.out), &found); err != nil || got.code != 1 || len(found) < 2 || found[0].Line != 4 {
		t.Errorf("as JSON: %d, %v, %s", got.code, err, got.out)
	}
	d.write("lain.yaml", strings.Replace(good, "prot", "port", 1))
	if got := d.lain("manifest", "check", "--json"); got.code != 0 || got.out != "[]\n" {
		t.Errorf("nothing, as JSON: %d, %q", got.code, got.out)
	}
	d.write("lain.yaml", "#"+strings.Repeat(" ", 2<<20))
	if got := d.lain("manifest", "check"); got.code != 1 || !strings.Contains(got.out, "error") {
		t.Errorf("a huge file: %d, %s%s", got.code, got.out, got.err)
	}
}

func TestManifestShowAndSchema(t *testing.T) {
	d := newDesk(t)
	d.write("lain.yaml", good)
	d.write("bad.yaml", bad)
	var shown struct {
		AppName string
		Procs   map[string]struct{ Mountpoint []string }
	}
	got := d.lain("manifest", "show", "--json", "--domain", "apps.test")
	if err := json.Unmarshal([]byte(got.out), &shown); err != nil || got.code != 0 || shown.AppName != "hello" || shown.Procs["web"].Mountpoint[0] != "hello.apps.test" {
		t.Errorf("%d, %v, %+v", got.code, err, shown)
	}
	if got := d.lain("manifest", "show", "bad.yaml"); got.code != 1 || got.out != "" || !strings.Contains(got.err, "bad.yaml:6:9: error") {
		t.Errorf("a bad file: %d, %s%s", got.code, got.out, got.err)
	}
	if got := d.lain("manifest", "schema"); got.code != 0 || !json.Valid([]byte(got.out)) {
		t.Errorf("schema: %d", got.code)
	}
}

func TestHelpOfOurOwn(t *testing.T) {
	d := newDesk(t)
	for _, args := range [][]string{{}, {"--help"}, {"create", "--help"}, {"help", "open"}, {"help", "manifest", "check"}, {"init", "-h"}, {"manifest", "schema", "--help"}, {"completion", "--help"}} {
		if got := d.lain(args...); got.code != 0 || !strings.Contains(got.out, "Examples:") || got.ssh != nil {
			t.Errorf("lain %q: %d, %s%s", args, got.code, got.out, got.err)
		}
	}
	if got := d.lain("--version"); got.out != "lain version dev\n" {
		t.Errorf("%q", got.out)
	}
}

func TestCompletion(t *testing.T) {
	d := newDesk(t).repository("origin", "/tmp/x", "prod", "lain:hello")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := d.lain("completion", shell); got.code != 0 || !strings.Contains(got.out, "__complete") {
			t.Errorf("%s: %d, %s", shell, got.code, got.err)
		}
	}
	for _, c := range []struct{ words, want string }{
		{"co", "config"}, {"co", "completion"}, {"config ", "set"}, {"runs ", "attach"}, {"manifest ", "check"}, {"logs -r ", "prod"}, {"logs -f -r ", "prod"},
		{"init --as ", "python"}, {"completion ", "zsh"},
	} {
		got := d.lain(append([]string{"__complete"}, strings.Split(c.words, " ")...)...)
		has := false
		for line := range strings.Lines(got.out) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			has = has || word == c.want
		}
		if !has || strings.Contains(got.out, "origin") || got.ssh != nil {
			t.Errorf("%q: %s%s", c.words, got.out, got.err)
		}
	}
}
