package gitserver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// gitUID is nobody's: git needs no entry in the list of users.
const gitUID = 64646

// hookBinary is the real lain-hook, built once.
var hookBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lain-gitserver-")
	if err != nil {
		panic(err)
	}
	hookBinary = filepath.Join(dir, "lain-hook")
	out, err := exec.Command("go", "build", "-o", hookBinary, "lain.internal/lain/cmd/lain-hook").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build lain-hook: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// fakes are the far side: people by key, and a Repositories whose Receive each test sets.
type fakes struct {
	store *repo.Store

	mu      sync.Mutex
	people  map[string]lain.Person
	lookups []string // fingerprints that were asked for
	receive func(context.Context, Push) []Answer
	refuse  error // of OpenRead and OpenPush
	closed  int
	run     func(context.Context, Session, []string) int
}

func (f *fakes) Person(_ context.Context, key gossh.PublicKey) (lain.Person, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fp := gossh.FingerprintSHA256(key)
	f.lookups = append(f.lookups, fp)
	if p, ok := f.people[fp]; ok {
		return p, nil
	}
	return "", errors.New("unknown key")
}

func (f *fakes) refusal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refuse
}

func (l *lab) onOpen(refuse error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}

func (f *fakes) OpenRead(ctx context.Context, _ Session, app lain.AppName) (*repo.Repository, error) {
	if err := f.refusal(); err != nil {
		return nil, err
	}
	return f.store.Open(ctx, app)
}

func (f *fakes) OpenPush(ctx context.Context, _ Session, app lain.AppName) (*repo.Repository, error) {
	if err := f.refusal(); err != nil {
		return nil, err
	}
	r, err := f.store.Create(ctx, app, repo.SHA1)
	if errors.Is(err, repo.ErrExists) {
		return f.store.Open(ctx, app)
	}
	return r, err
}

func (f *fakes) Receive(ctx context.Context, p Push) []Answer {
	f.mu.Lock()
	receive := f.receive
	f.mu.Unlock()
	return receive(ctx, p)
}

func (f *fakes) ClosePush(Session, lain.AppName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
}

func (f *fakes) Run(ctx context.Context, s Session, args []string) int {
	f.mu.Lock()
	run := f.run
	f.mu.Unlock()
	if run != nil {
		return run(ctx, s, args)
	}
	fmt.Fprintf(s.Stdout, "%s ran %q\n", s.Person, args)
	return 7
}

func (f *fakes) onReceive(fn func(context.Context, Push) []Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receive = fn
}

// accept moves every ref as asked.
func accept(ctx context.Context, p Push) (answers []Answer) {
	for _, c := range p.Commands {
		a := Answer{Ref: c.Ref}
		if err := p.Repo.UpdateRef(ctx, c.Ref, c.New, c.Old); err != nil {
			a.Reason = err.Error()
		}
		answers = append(answers, a)
	}
	return answers
}

// lab is a server on loopback with a client's home folder.
type lab struct {
	*fakes
	t      *testing.T
	server *Server
	addr   string
	dir    string // the client's home: keys, work trees
	log    *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o711); err != nil {
		t.Fatal(err)
	}
	hooks := filepath.Join(root, "hooks")
	store, err := repo.NewStore(t.Context(), repo.Options{Root: filepath.Join(root, "repos"), UID: gitUID, GID: gitUID,
		HookDir: hooks, MaxInputBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: filepath.Join(root, "home"), log: &safeBuffer{},
		fakes: &fakes{store: store, people: map[string]lain.Person{}, receive: accept}}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{HostKeyDir: filepath.Join(root, "keys"), UID: gitUID, HookDir: hooks, HookBinary: hookBinary,
		HookSocket: socketPath(t), Logger: slog.New(slog.NewTextHandler(l.log, nil))}
	for _, c := range change {
		c(&o)
	}
	l.serve(o)
	l.addKey("alice")
	return l
}

func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "lain-hook-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "s")
}

func (l *lab) serve(o Options) {
	l.t.Helper()
	server, err := New(o, l.fakes, l.fakes, l.fakes)
	if err != nil {
		l.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.server, l.addr = server, listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), listener) }()
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-ended); err != nil {
			l.t.Errorf("shutdown: %v", err)
		}
		if l.t.Failed() {
			l.t.Log(l.log.String())
		}
	})
}

// addKey makes a key of the client's and registers it.
func (l *lab) addKey(person lain.Person) gossh.Signer {
	l.t.Helper()
	signer := l.newKey(string(person))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.people[gossh.FingerprintSHA256(signer.PublicKey())] = person
	return signer
}

func (l *lab) newKey(name string) gossh.Signer {
	l.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
		l.t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		l.t.Fatal(err)
	}
	return signer
}

func (l *lab) host() (host, port string) {
	host, port, _ = net.SplitHostPort(l.addr)
	return host, port
}

// sshArgs are those of the real client, as a person.
func (l *lab) sshArgs(person string) []string {
	_, port := l.host()
	return []string{"-F", "/dev/null", "-p", port, "-i", filepath.Join(l.dir, person), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-o", "UserKnownHostsFile=" + filepath.Join(l.dir, "known_hosts")}
}

// ssh runs a command over the real client.
func (l *lab) ssh(args ...string) (out, stderr string, code int) {
	l.t.Helper()
	return l.run(exec.Command("ssh", append(append(l.sshArgs("alice"), "lain@127.0.0.1"), args...)...))
}

func (l *lab) run(cmd *exec.Cmd) (out, stderr string, code int) {
	l.t.Helper()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// gitCmd is the real git in a work tree of the client's.
func (l *lab) gitCmd(tree string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = filepath.Join(l.dir, tree)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=a@b",
		"GIT_SSH_COMMAND=ssh " + strings.Join(l.sshArgs("alice"), " "), "GIT_TERMINAL_PROMPT=0"}
	return cmd
}

// git runs the real git and gives its exit code.
func (l *lab) git(tree string, args ...string) (stderr string, code int) {
	l.t.Helper()
	_, stderr, code = l.run(l.gitCmd(tree, args...))
	return stderr, code
}

// must is git that succeeds; it gives what git wrote.
func (l *lab) must(tree string, args ...string) string {
	l.t.Helper()
	out, stderr, code := l.run(l.gitCmd(tree, args...))
	if code != 0 {
		l.t.Fatalf("git %q: exit %d\n%s", args, code, stderr)
	}
	return strings.TrimSpace(out)
}

func (l *lab) url(app string) string { return "ssh://lain@" + l.addr + "/" + app }

// tree makes a work tree with one commit and the remote "lain".
func (l *lab) tree(app string, initArgs ...string) {
	l.t.Helper()
	l.must(".", append([]string{"init", "-q", "-b", "main", app}, initArgs...)...)
	l.must(app, "remote", "add", "lain", l.url(app))
	l.commit(app, "lain.yaml", "appname: "+app+"\n")
}

func (l *lab) commit(app, file, content string) string {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, app, file), []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.must(app, "add", "-A")
	l.must(app, "commit", "-qm", "change "+file)
	return l.must(app, "rev-parse", "HEAD")
}

// noQuarantine checks that no push left objects lying beside the repository's.
func (l *lab) noQuarantine(app string) {
	l.t.Helper()
	left, _ := filepath.Glob(filepath.Join(l.dir, "..", "repos", app+".git", "objects", "tmp_objdir*"))
	if len(left) > 0 {
		l.t.Errorf("left over: %q", left)
	}
}

func (l *lab) refs(app lain.AppName) string {
	l.t.Helper()
	r, err := l.store.Open(l.t.Context(), app)
	if err != nil {
		l.t.Fatal(err)
	}
	refs, err := r.Refs(l.t.Context(), "refs")
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, ref := range refs {
		fmt.Fprintf(&b, "%s %s\n", ref.Name, ref.ID)
	}
	return b.String()
}

// eventually polls a condition.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func TestVerbsGetWordsAndGiveAnExitCode(t *testing.T) {
	l := newLab(t)
	out, _, code := l.ssh("apps", "create", "'x y'")
	if out != "alice ran [\"apps\" \"create\" \"x y\"]\n" || code != 7 {
		t.Fatalf("%q, %d", out, code)
	}
	if out, _, code := l.ssh(); out != "alice ran []\n" || code != 7 {
		t.Fatalf("a shell: %q, %d", out, code)
	}
	if _, stderr, code := l.ssh("git-lfs-authenticate hello upload"); !strings.HasPrefix(stderr, "lain: Git LFS is not supported here") || code != 64 {
		t.Fatalf("%q, %d", stderr, code)
	}
	if _, stderr, code := l.ssh("git-receive-pack ../x"); !strings.HasPrefix(stderr, "lain: ") || code != 128 {
		t.Fatalf("%q, %d", stderr, code)
	}
	l.onRun(func(_ context.Context, s Session, _ []string) int {
		_, _ = io.Copy(s.Stdout, s.Stdin)
		return 0
	})
	cmd := exec.Command("ssh", append(l.sshArgs("alice"), "lain@127.0.0.1", "cat")...)
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	if out, _, code := l.run(cmd); len(out) != 1<<20 || code != 0 {
		t.Fatal(len(out), code)
	}
}

func (l *lab) onRun(fn func(context.Context, Session, []string) int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fakes.run = fn
}

func TestAPanicHarmsNobodyElse(t *testing.T) {
	l := newLab(t)
	release := make(chan struct{})
	l.onRun(func(_ context.Context, s Session, args []string) int {
		if args[0] == "panic" {
			panic("as asked")
		}
		<-release
		return 3
	})
	other := make(chan int)
	go func() {
		_, _, code := l.ssh("wait")
		other <- code
	}()
	if _, _, code := l.ssh("panic"); code != 70 {
		t.Fatal(code)
	}
	close(release)
	if code := <-other; code != 3 {
		t.Fatal(code)
	}
	if !strings.Contains(l.log.String(), "as asked") {
		t.Fatal("the panic is not in the log")
	}
}

func TestRefusalsAreShownToGit(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.onOpen(fault.New(fault.Denied, "you may not push to hello").WithHint("Ask an admin:\n  lain access grant"))
	stderr, code := l.git("hello", "push", "lain", "main")
	if code != 128 || !strings.Contains(stderr, "lain: you may not push to hello\nlain: Ask an admin:\nlain:   lain access grant\n") {
		t.Fatalf("%d %s", code, stderr)
	}
	l.onOpen(errors.New("etcd 10.0.0.1 is down"))
	stderr, _ = l.git("hello", "push", "lain", "main")
	if strings.Contains(stderr, "10.0.0.1") || !strings.Contains(stderr, "lain: internal error") {
		t.Fatal(stderr)
	}
}

func TestShutdownLetsSessionsEnd(t *testing.T) {
	l := newLab(t)
	running, release := make(chan struct{}), make(chan struct{})
	l.onRun(func(context.Context, Session, []string) int {
		close(running)
		<-release
		return 5
	})
	code := make(chan int)
	go func() {
		_, _, c := l.ssh("wait")
		code <- c
	}()
	<-running
	ended := make(chan error)
	go func() { ended <- l.server.Shutdown(t.Context()) }()
	eventually(t, 5*time.Second, "no new connections", func() bool {
		c, err := net.Dial("tcp", l.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(release)
	if c, err := <-code, <-ended; c != 5 || err != nil {
		t.Fatal(c, err)
	}
}

func TestShutdownCutsShortWhatDoesNotEnd(t *testing.T) {
	l := newLab(t)
	running := make(chan struct{})
	cause := make(chan error, 1)
	l.onRun(func(ctx context.Context, _ Session, _ []string) int {
		close(running)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return 5
	})
	go l.ssh("wait")
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, ErrStopping) {
		t.Fatal(err)
	}
}

func TestTheHostKeyStaysAndIsPrivate(t *testing.T) {
	dir := t.TempDir()
	one, err := hostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := hostKey(dir)
	if err != nil || !bytes.Equal(one.PublicKey().Marshal(), two.PublicKey().Marshal()) {
		t.Fatal("another key", err)
	}
	path := filepath.Join(dir, hostKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := hostKey(dir); err == nil {
		t.Fatal("a key that others can read was taken")
	}
}
