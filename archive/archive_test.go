package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"lain.internal/lain/archive"
	"lain.internal/lain/builder/registry"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

func TestMain(m *testing.M) {
	if data := os.Getenv("LAIN_ARCHIVE_TEST_RESTORE"); data != "" {
		restoreFromInput(data)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/docker/go-events.(*Broadcaster).run")) // the registry's own
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plane is a control plane without its processes: a real store, real repositories, a real registry.
type plane struct {
	t     testing.TB
	data  string
	store *state.Store
	repos *repo.Store
	gate  *archive.Gate
	image v1.Hash
}

const gitUser = 64646

// newPlane makes one with an application hello, whose commit and image the records name.
func newPlane(t testing.TB) *plane {
	t.Helper()
	top, err := os.MkdirTemp("", "lain-archive-") // git's user cannot pass through the test's own folder
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	must(t, os.Chmod(top, 0o711))
	p := &plane{t: t, data: filepath.Join(top, "data"), gate: archive.NewGate()}
	must(t, os.Mkdir(p.data, 0o711))
	p.store = statetest.OpenAt(t, filepath.Join(p.data, "etcd"))
	p.repos, err = repo.NewStore(t.Context(), repo.Options{Root: filepath.Join(p.data, "repositories"), UID: gitUser, GID: gitUser, HookDir: filepath.Join(p.data, "hooks")})
	must(t, err)
	for dir, mode := range map[string]fs.FileMode{"ssh": 0o700, "bin": 0o755, "builds": 0o700, "runs": 0o700} {
		must(t, os.Mkdir(filepath.Join(p.data, dir), mode))
	}
	p.write("ssh/ssh_host_ed25519_key", "a host key", 0o600)
	p.write("bin/lain-helper", "a program", 0o755)
	p.write("builds/half", "not kept", 0o600)
	p.app("hello")
	p.push()
	return p
}

func (p *plane) write(path, content string, mode fs.FileMode) {
	p.t.Helper()
	must(p.t, os.WriteFile(filepath.Join(p.data, path), []byte(content), mode))
}

// app makes an application's record and its repository with one commit on main.
func (p *plane) app(app lain.AppName) {
	p.t.Helper()
	r, err := p.repos.Create(p.t.Context(), app, repo.SHA1)
	must(p.t, err)
	work := p.t.TempDir()
	settings := filepath.Join(work, "gitconfig")
	must(p.t, os.WriteFile(settings, []byte("[safe]\n\tdirectory = *\n[user]\n\tname = dev\n\temail = dev@example.test\n"), 0o600))
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", work},
		{"-C", work, "commit", "-q", "--allow-empty", "-m", "one"},
		{"-C", r.Path(), "fetch", "-q", work, "main:main"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+settings, "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	must(p.t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", gitUser, gitUser), r.Path()).Run())
	_, err = state.Of[lain.App](p.store, lain.AppsPrefix).Put(p.t.Context(), string(app), lain.App{Name: app, ObjectFormat: repo.SHA1, DeployBranch: "main"})
	must(p.t, err)
}

// push puts an image into the registry.
func (p *plane) push() {
	p.t.Helper()
	host, options, stop := p.registry(p.data)
	defer stop()
	img, err := random.Image(4096, 2)
	must(p.t, err)
	p.image, err = img.Digest()
	must(p.t, err)
	tag, err := name.ParseReference(host+"/hello:release-1", name.Insecure)
	must(p.t, err)
	must(p.t, remote.Write(tag, img, options...))
}

func (p *plane) registry(data string) (host string, options []remote.Option, stop func()) {
	p.t.Helper()
	r, err := registry.Open(registry.Options{Dir: filepath.Join(data, "registry"), Credentials: filepath.Join(data, "registry.credential"), Logger: slog.New(slog.DiscardHandler)})
	must(p.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(p.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Serve(ctx, l) }()
	c := r.Credential()
	return l.Addr().String(), []remote.Option{remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password})},
		func() { cancel(); <-done; must(p.t, r.Close()) }
}

func (p *plane) source() archive.Source {
	return archive.Source{Store: p.store, Gate: p.gate, Cluster: statetest.Cluster, Version: "v-test", Data: p.data,
		Settings: filepath.Join(p.data, "..", "laind.yaml"), Now: time.Now, Leave: []string{"etcd", "builds"},
		Parts: []archive.Part{archive.Repositories("repositories"), archive.Images("registry")}}
}

// backup is the archive in the clear.
func (p *plane) backup() []byte {
	p.t.Helper()
	var b bytes.Buffer
	_, err := p.source().Write(p.t.Context(), &b)
	must(p.t, err)
	return b.Bytes()
}

func target(data string) archive.Target {
	return archive.Target{Data: data, Cluster: statetest.Cluster, Now: time.Now}
}

// newTarget is a data folder that is not there yet.
func newTarget(t testing.TB) string {
	t.Helper()
	top, err := os.MkdirTemp("", "lain-restore-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	must(t, os.Chmod(top, 0o711))
	return filepath.Join(top, "data")
}

// tree is every file, folder and link below dir with its mode, owner and content.
func tree(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && find . -not -name _uploads -printf '%p %y %m %U:%G %l\n' | sort && find . -type f -print0 | sort -z | xargs -0r sha256sum`, "sh", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestRoundTrip(t *testing.T) {
	p := newPlane(t)
	must(t, os.WriteFile(filepath.Join(p.data, "..", "laind.yaml"), []byte("domain: x\n"), 0o644))
	ctx := t.Context()
	nodes, endpoints := state.Of[lain.RouterSeen](p.store, lain.NodesPrefix), state.Of[lain.Endpoints](p.store, lain.EndpointsPrefix)
	_, err := nodes.Put(ctx, "local/router", lain.RouterSeen{Revision: 1 << 40})
	must(t, err)
	_, err = endpoints.Put(ctx, "hello/web", lain.Endpoints{App: "hello", Addresses: []string{"127.0.0.1:1"}})
	must(t, err)
	lease, err := p.store.Lease(ctx, time.Minute)
	must(t, err)
	_, err = state.Of[string](p.store, lain.OwnersPrefix).PutLeased(ctx, "hello/1", "somebody", lease)
	must(t, err)
	for i := range 300 { // several pages
		_, err = state.Of[lain.Run](p.store, lain.RunsPrefix).Put(ctx, lain.NumberKey("hello", i), lain.Run{App: "hello", Number: i})
		must(t, err)
	}

	var sealed bytes.Buffer
	lock, key := keys(t)
	out, err := lock.Close(&sealed)
	must(t, err)
	wrote, err := p.source().Write(ctx, out)
	must(t, err)
	must(t, out.Close())
	for _, secret := range []string{"a host key", "hello", "manifest"} {
		if bytes.Contains(sealed.Bytes(), []byte(secret)) {
			t.Errorf("%q is in the file as it is", secret)
		}
	}
	in, err := key.Open(&sealed)
	must(t, err)
	data := newTarget(t)
	read, err := target(data).Read(ctx, in)
	must(t, err)
	wrote.Left = nil
	if read.Records != wrote.Records || read.Entries != wrote.Entries || read.Bytes != wrote.Bytes || read.Apps != 1 || read.Revision != wrote.Revision {
		t.Errorf("read %+v, wrote %+v", read, wrote)
	}
	restored := &plane{t: t, data: data, image: p.image}
	restored.sameFiles(p)
	restored.sameRecords(p)
	restored.serves()
}

// keys are a pair in files. (A passphrase costs a second and 256 MiB each time, and much more under the race
// detector.)
func keys(t testing.TB) (archive.Lock, archive.Key) {
	t.Helper()
	pair, err := age.GenerateX25519Identity()
	must(t, err)
	file := filepath.Join(t.TempDir(), "identity")
	must(t, os.WriteFile(file, []byte(pair.String()+"\n"), 0o600))
	return archive.Lock{Recipients: []string{pair.Recipient().String()}}, archive.Key{IdentityFile: file}
}

// sameFiles compares what is kept, and sees that the rest is not there.
func (p *plane) sameFiles(old *plane) {
	p.t.Helper()
	for _, dir := range []string{"repositories", "registry", "ssh", "bin", "runs"} {
		if got, want := tree(p.t, filepath.Join(p.data, dir)), tree(p.t, filepath.Join(old.data, dir)); got != want {
			p.t.Errorf("%s is\n%s\nwant\n%s", dir, got, want)
		}
	}
	got, err := os.ReadFile(filepath.Join(p.data, archive.SettingsFile))
	if err != nil || string(got) != "domain: x\n" {
		p.t.Errorf("settings: %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(p.data, "builds")); err == nil {
		p.t.Error("what was to be left out was restored")
	}
	if info, err := os.Stat(p.data); err != nil || info.Mode().Perm() != 0o711 {
		p.t.Errorf("the data folder: %v, %v", info.Mode(), err)
	}
}

func (p *plane) sameRecords(old *plane) {
	p.t.Helper()
	ctx := p.t.Context()
	p.store = statetest.OpenAt(p.t, filepath.Join(p.data, "etcd"))
	want, _, err := state.Of[lain.Run](old.store, lain.RunsPrefix).List(ctx, "")
	must(p.t, err)
	got, _, err := state.Of[lain.Run](p.store, lain.RunsPrefix).List(ctx, "")
	must(p.t, err)
	if len(got) != len(want) || len(got) != 300 {
		p.t.Errorf("%d runs, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Key != want[i].Key || got[i].Value.Number != want[i].Value.Number {
			p.t.Errorf("run %+v, want %+v", got[i], want[i])
		}
	}
	for _, prefix := range []string{lain.OwnersPrefix, lain.NodesPrefix, lain.EndpointsPrefix} {
		if left, _, err := state.Of[any](p.store, prefix).List(ctx, ""); err != nil || len(left) > 0 {
			p.t.Errorf("%s: %v, %v: it said what was seen, not what is", prefix, left, err)
		}
	}
}

// serves clones the repository and pulls the image.
func (p *plane) serves() {
	p.t.Helper()
	repos, err := repo.NewStore(p.t.Context(), repo.Options{Root: filepath.Join(p.data, "repositories"), UID: gitUser, GID: gitUser, HookDir: filepath.Join(p.data, "hooks")})
	must(p.t, err)
	r, err := repos.Open(p.t.Context(), "hello")
	must(p.t, err)
	refs, err := r.Refs(p.t.Context(), "refs/heads")
	if err != nil || len(refs) != 1 {
		p.t.Fatalf("refs: %v, %v", refs, err)
	}
	p.fsck(r.Path())
	host, options, stop := p.registry(p.data)
	defer stop()
	ref, err := name.ParseReference(host+"/hello@"+p.image.String(), name.Insecure)
	must(p.t, err)
	img, err := remote.Image(ref, options...)
	must(p.t, err)
	layers, err := img.Layers()
	must(p.t, err)
	for _, l := range layers {
		content, err := l.Compressed()
		must(p.t, err)
		if _, err := io.Copy(io.Discard, content); err != nil {
			p.t.Error(err)
		}
		_ = content.Close()
	}
}

func (p *plane) fsck(path string) {
	p.t.Helper()
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", path, "fsck", "--strict", "--full").CombinedOutput()
	if err != nil {
		p.t.Errorf("fsck: %v\n%s", err, out)
	}
}

func TestLock_andKey(t *testing.T) {
	pair, err := age.GenerateX25519Identity()
	must(t, err)
	other, err := age.GenerateX25519Identity()
	must(t, err)
	dir := t.TempDir()
	file := func(name, content string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), mode))
		return path
	}
	own, wrong := file("own", pair.String()+"\n", 0o600), file("wrong", other.String()+"\n", 0o600)
	var b bytes.Buffer
	w, err := archive.Lock{RecipientsFile: file("recipients", "# us\n"+pair.Recipient().String()+"\n", 0o644)}.Close(&b)
	must(t, err)
	_, err = io.WriteString(w, "words")
	must(t, err)
	must(t, w.Close())
	sealed := b.Bytes()
	r, err := archive.Key{IdentityFile: own}.Open(bytes.NewReader(sealed))
	must(t, err)
	if got, err := io.ReadAll(r); err != nil || string(got) != "words" {
		t.Errorf("%q, %v", got, err)
	}
	long := file("long", "a passphrase that is long enough", 0o600)
	for what, k := range map[string]archive.Key{
		"made for another key":  {IdentityFile: wrong},
		"opened by one key":     {},
		"one key":               {IdentityFile: own, PassphraseFile: long},
		"for another key":       {PassphraseFile: long},
		"shorter than 12":       {PassphraseFile: file("short", "short", 0o600)},
		"can be read by others": {IdentityFile: file("open", pair.String(), 0o644)},
		"there is no file":      {IdentityFile: filepath.Join(dir, "none")},
		"no secret key":         {IdentityFile: file("junk", "AGE-SECRET-KEY-1JUNK", 0o600)},
	} {
		if _, err := k.Open(bytes.NewReader(sealed)); err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "JUNK") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, l := range map[string]archive.Lock{
		"encrypted only":    {},
		"not for both":      {Recipients: []string{pair.Recipient().String()}, PassphraseFile: long},
		"no public key":     {Recipients: []string{"age1junk"}},
		"shorter than 12":   {PassphraseFile: file("short", "eleven char", 0o600)},
		"cannot be read":    {RecipientsFile: "/proc/self/mem/x"},
		"is no public key ": {Recipients: []string{pair.String()}},
	} {
		if _, err := l.Close(io.Discard); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
