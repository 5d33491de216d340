package town

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// App is an application as its developer has it: a work tree with a remote.
type App struct {
	Name string
	Dir  string
	Key  string
	town *Town
	t    testing.TB
}

var counter atomic.Int64

// NewApp makes a work tree of the test application whose name begins with prefix, with a first commit. Nothing
// is pushed. In a town that outlives the test, the application is destroyed with the test.
func (tw *Town) NewApp(t testing.TB, prefix string) *App {
	t.Helper()
	a := tw.newApp(t, fmt.Sprintf("%s%d", prefix, counter.Add(1)))
	a.Manifest("")
	a.Write("VERSION", "one\n")
	a.Commit("one")
	return a
}

// NewAppFrom makes a work tree with a copy of a folder, whose lain.yaml names the application name. Nothing is committed.
func (tw *Town) NewAppFrom(t testing.TB, name, dir string) *App {
	t.Helper()
	a := tw.newApp(t, name)
	if err := os.CopyFS(a.Dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return a
}

func (tw *Town) newApp(t testing.TB, name string) *App {
	t.Helper()
	a := &App{Name: name, Dir: t.TempDir(), Key: tw.Key, town: tw, t: t}
	a.Git("init", "-q", "-b", "main")
	a.Git("remote", "add", "lain", a.URL())
	if tw.o.Leave {
		t.Cleanup(func() { tw.leaving.Go(a.leave) })
	}
	return a
}

// leave destroys the application, if there is one, so that its containers do not slow the stories after it. Nobody waits
// for it but Close, which returns the error.
func (a *App) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	words := fmt.Sprintf("destroy %s --confirm %[1]s", a.Name)
	out, err := exec.CommandContext(ctx, "ssh", append(a.town.SSHOptions(a.town.Key), "lain@"+a.town.IP(), "--", words)...).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "there is no application") {
		return fmt.Errorf("%s: %w\n%s", words, err, out)
	}
	return nil
}

// URL is the remote's.
func (a *App) URL() string { return fmt.Sprintf("ssh://lain@%s:%d/%s", a.town.IP(), SSHPort, a.Name) }

// Host is the name the router knows it by.
func (a *App) Host() string { return a.Name + ".lain.localhost" }

// Manifest writes a lain.yaml of one web proc of the test application; flags go to the application, and more
// lines, with two spaces before them, belong to its section.
func (a *App) Manifest(flags string, more ...string) {
	a.t.Helper()
	lines := append([]string{
		"appname: " + a.Name,
		"build:",
		"  base: lain/testapp:1",
		"  script: [echo building]",
		"web:",
		"  cmd: /bin/testapp -version-file /lain/app/VERSION " + flags,
		"  port: 8080",
		"  healthcheck: /healthz",
	}, more...)
	a.Write("lain.yaml", strings.Join(lines, "\n")+"\n")
}

// Write puts a file into the work tree.
func (a *App) Write(name, content string) {
	a.t.Helper()
	path := filepath.Join(a.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// Read is a file of the work tree.
func (a *App) Read(name string) string {
	a.t.Helper()
	data, err := os.ReadFile(filepath.Join(a.Dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	return string(data)
}

// Commit commits everything and returns the commit.
func (a *App) Commit(message string) string {
	a.t.Helper()
	a.Git("add", "-A")
	a.Git("commit", "-q", "--allow-empty", "-m", message)
	return a.Head()
}

// Change makes a commit with another VERSION and returns it.
func (a *App) Change(version string) string {
	a.t.Helper()
	a.Write("VERSION", version+"\n")
	return a.Commit(version)
}

// Head is the newest commit.
func (a *App) Head() string { return strings.TrimSpace(a.Git("rev-parse", "HEAD")) }

// GitCommand prepares git in the work tree, with the app's key and no configuration of this machine's.
func (a *App) GitCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = a.Dir
	ssh := "ssh"
	for _, o := range a.town.SSHOptions(a.Key)[:4] { // -F, -i; the port is in the URL
		ssh += " " + o
	}
	ssh += " -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
	cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+ssh, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=dev", "GIT_AUTHOR_EMAIL=dev@example.test", "GIT_COMMITTER_NAME=dev", "GIT_COMMITTER_EMAIL=dev@example.test")
	return cmd
}

// Git runs git and fails the test when git fails.
func (a *App) Git(args ...string) string {
	a.t.Helper()
	r := run(a.t, a.GitCommand(args...))
	if r.Code != 0 {
		a.t.Fatalf("git %v: exit %d\n%s", args, r.Code, r.All())
	}
	return r.Stdout
}

// TryGit runs git and returns how it ended.
func (a *App) TryGit(args ...string) Result {
	a.t.Helper()
	return run(a.t, a.GitCommand(args...))
}

// Push pushes main (or what args say) and returns how it ended.
func (a *App) Push(args ...string) Result {
	a.t.Helper()
	if len(args) == 0 {
		args = []string{"lain", "main"}
	}
	return a.TryGit(append([]string{"push"}, args...)...)
}

// MustPush pushes and fails the test if that fails.
func (a *App) MustPush(args ...string) Result {
	a.t.Helper()
	r := a.Push(args...)
	if r.Code != 0 {
		a.t.Fatalf("push of %s: exit %d\n%s", a.Name, r.Code, r.All())
	}
	return r
}

// BeginPush starts a push and returns while it runs.
func (a *App) BeginPush(args ...string) *Running {
	a.t.Helper()
	if len(args) == 0 {
		args = []string{"lain", "main"}
	}
	return Begin(a.t, a.GitCommand(append([]string{"push"}, args...)...))
}

// RemoteMain is what main names on the server; "" when there is none.
func (a *App) RemoteMain() string {
	a.t.Helper()
	r := a.TryGit("ls-remote", "lain", "refs/heads/main")
	id, _, _ := strings.Cut(r.Stdout, "\t")
	return id
}

// Version is what the application answers through the router, without the instance's name; the error says
// what came instead.
func (a *App) Version() (string, error) {
	code, body, err := a.town.Get(a.Host(), "/")
	if err != nil {
		return "", err
	}
	if code != 200 {
		return "", fmt.Errorf("status %d: %s", code, strings.TrimSpace(body))
	}
	version, _, _ := strings.Cut(strings.TrimSpace(body), " ")
	version, _, _ = strings.Cut(version, "\n")
	return version, nil
}

// Serves fails the test unless the application answers this version.
func (a *App) Serves(version string) {
	a.t.Helper()
	got, err := a.Version()
	if err != nil || got != version {
		a.t.Errorf("%s serves %q (%v), want %q", a.Name, got, err, version)
	}
}

// Truth checks promise 1 from outside: what main names on the server is the commit that serves, version is what
// that commit answers.
func (a *App) Truth(commit, version string) {
	a.t.Helper()
	if got := a.RemoteMain(); got != commit {
		a.t.Errorf("main of %s names %q, want %q", a.Name, got, commit)
	}
	a.Serves(version)
}

// Eventually waits until a condition holds.
func (a *App) Eventually(what string, limit time.Duration, try func() error) {
	a.t.Helper()
	if err := Until(context.WithoutCancel(a.t.Context()), limit, try); err != nil {
		a.t.Errorf("%s: %v", what, err)
	}
}

// Refused checks a push that must fail: exit code 1, git's status line holds the reason, and every cause is in
// the output.
func (r Result) Refused(t testing.TB, reason string, causes ...string) {
	t.Helper()
	if r.Code != 1 {
		t.Errorf("exit code %d, want 1", r.Code)
	}
	line := ""
	for l := range strings.Lines(r.Stderr) {
		if strings.Contains(l, "[remote rejected]") {
			line += l
		}
	}
	if !strings.Contains(line, reason) {
		t.Errorf("the status line %q lacks %q", line, reason)
	}
	for _, c := range causes {
		if !strings.Contains(r.All(), c) {
			t.Errorf("the output lacks %q", c)
		}
	}
	if t.Failed() {
		t.Logf("the push said:\n%s", r.All())
	}
}
