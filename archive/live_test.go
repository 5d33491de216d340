package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"lain.internal/lain/archive"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// worker pushes at many places of an archive that is being written, and once tries to pack the repository: the
// worst moments, each time.
type worker struct {
	p       *plane
	into    bytes.Buffer
	host    string
	options []remote.Option
	heads   int
	packed  error
}

// Write acts before it takes the head of an entry.
func (w *worker) Write(b []byte) (int, error) {
	if len(b) == 512 && string(b[257:262]) == "ustar" && bytes.HasPrefix(b, []byte("data/re")) {
		if w.heads++; w.heads%7 == 0 {
			w.push()
		}
		if w.packed == nil && bytes.HasPrefix(b, []byte("data/repositories/hello.git/objects/")) && b[156] == '0' {
			w.packed = w.pack()
		}
	}
	return w.into.Write(b)
}

// push does what a push does, in its order: objects, reference, image, record. A tag comes and goes.
func (w *worker) push() {
	r, err := w.p.repos.Open(context.Background(), "hello")
	must(w.p.t, err)
	script := `id=$(git commit-tree -p main -m "$1" 'main^{tree}') && git update-ref refs/heads/main $id && git update-ref "refs/tags/$1" $id && git update-ref -d "refs/tags/$1"`
	cmd := exec.Command("sh", "-c", script, "sh", fmt.Sprint("c", w.heads))
	cmd.Dir = r.Path()
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_AUTHOR_NAME=d", "GIT_AUTHOR_EMAIL=d@x", "GIT_COMMITTER_NAME=d", "GIT_COMMITTER_EMAIL=d@x")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.p.t.Fatalf("%v\n%s", err, out)
	}
	img, err := random.Image(512, 2)
	must(w.p.t, err)
	tag, err := name.ParseReference(fmt.Sprintf("%s/hello:release-%d", w.host, w.heads), name.Insecure)
	must(w.p.t, err)
	must(w.p.t, remote.Write(tag, img, w.options...))
	digest, err := img.Digest()
	must(w.p.t, err)
	_, err = state.Of[lain.Build](w.p.store, lain.BuildsPrefix).Put(context.Background(), fmt.Sprint("hello/", w.heads),
		lain.Build{Image: lain.ImageRef{Repository: "hello", Digest: digest.String()}})
	must(w.p.t, err)
}

// pack packs the repository, which would take loose objects away.
func (w *worker) pack() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	repos, err := repo.NewStore(ctx, repo.Options{Root: filepath.Join(w.p.data, "repositories"), UID: gitUser, GID: gitUser,
		HookDir: filepath.Join(w.p.data, "hooks"), Removing: w.p.gate.Enter})
	must(w.p.t, err)
	r, err := repos.Open(ctx, "hello")
	must(w.p.t, err)
	must(w.p.t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", gitUser, gitUser), r.Path()).Run()) // what root committed
	return r.Maintain(ctx)
}

// Commits, images and records come while an archive is written, between any two of its files. It restores to a
// repository that fsck passes, and to a registry in which every image can be pulled that it lists, or that a
// record names.
func TestWrite_whileOthersWork(t *testing.T) {
	p := newPlane(t)
	w := &worker{p: p}
	var end func()
	w.host, w.options, end = p.registry(p.data)
	defer end()
	w.push()
	_, err := p.source().Write(t.Context(), w)
	must(t, err)
	if !errors.Is(w.packed, context.DeadlineExceeded) {
		t.Errorf("the repository was packed meanwhile: %v", w.packed)
	}
	data := newTarget(t)
	_, err = target(data).Read(t.Context(), &w.into)
	must(t, err)
	(&plane{t: t, data: data}).whole()
	t.Logf("%d entries were raced", w.heads)
}

// whole checks that whatever the records name is there.
func (p *plane) whole() {
	p.t.Helper()
	p.fsck(filepath.Join(p.data, "repositories", "hello.git"))
	store, err := state.Open(p.t.Context(), state.Options{Dir: filepath.Join(p.data, "etcd"), Socket: filepath.Join(filepath.Dir(p.data), "s"), Cluster: "test"})
	must(p.t, err)
	defer store.Close()
	builds, _, err := state.Of[lain.Build](store, lain.BuildsPrefix).List(p.t.Context(), "")
	must(p.t, err)
	host, options, end := p.registry(p.data)
	defer end()
	if len(builds) == 0 {
		p.t.Error("there is no build")
	}
	names := map[string]bool{}
	for _, b := range builds {
		names[b.Value.Image.String()] = true
	}
	hello, err := name.NewRepository(host+"/hello", name.Insecure)
	must(p.t, err)
	tags, err := remote.List(hello, options...)
	must(p.t, err)
	for _, tag := range tags {
		names["hello:"+tag] = true
	}
	for image := range names {
		if err := pull(host+"/"+image, options); err != nil {
			p.t.Errorf("%s: %v", image, err)
		}
	}
}

// pull reads an image whole.
func pull(image string, options []remote.Option) error {
	ref, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		return err
	}
	img, err := remote.Image(ref, options...)
	if err != nil {
		return err
	}
	return validate.Image(img)
}

func TestGate(t *testing.T) {
	g := archive.NewGate()
	in, leave, err := g.Enter(t.Context())
	must(t, err)
	_, again, err := g.Enter(in)
	must(t, err)
	again()
	held := make(chan func())
	go func() {
		release, err := g.Hold(context.Background())
		if err != nil {
			t.Error(err)
		}
		held <- release
	}()
	_, again, err = g.Enter(in) // the holder waits for us, and we do not for it
	must(t, err)
	again()
	select {
	case <-held:
		t.Fatal("held while somebody is inside")
	default:
	}
	leave()
	release := <-held
	if !g.Held() {
		t.Error("nobody says that it is held")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := g.Enter(ctx); err == nil {
		t.Error("entered while it is held")
	}
	release()
	_, leave, err = g.Enter(t.Context())
	must(t, err)
	leave()
}

func TestWrite_aPartStandsStillWhileItIsCopied(t *testing.T) {
	p := newPlane(t)
	still := false
	src := p.source()
	src.Parts = append(src.Parts, archive.Part{Path: "ssh", Quiesce: func(context.Context) (func(), error) {
		still = true
		p.write("ssh/as-of-then", "x", 0o600)
		return func() { still = false; must(t, os.Remove(filepath.Join(p.data, "ssh", "as-of-then"))) }, nil
	}})
	var b bytes.Buffer
	_, err := src.Write(t.Context(), &b)
	must(t, err)
	if still || !bytes.Contains(b.Bytes(), []byte("ssh/as-of-then")) {
		t.Error("it was not copied while it stood still, or was not let go")
	}
	broken := errors.New("sealed")
	src.Parts = []archive.Part{{Path: "ssh", Quiesce: func(context.Context) (func(), error) { return nil, broken }}}
	if _, err := src.Write(t.Context(), io.Discard); !errors.Is(err, broken) {
		t.Errorf("a part that does not stand still: %v", err)
	}
}

func TestWrite_whatIsNotCopied(t *testing.T) {
	p := newPlane(t)
	r, err := p.repos.Open(t.Context(), "hello")
	must(t, err)
	for _, path := range []string{"refs/heads/main.lock", "objects/tmp_obj_1", "objects/pack/pack-ff.idx", "objects/tmp_objdir-incoming-1"} {
		must(t, os.WriteFile(filepath.Join(r.Path(), path), []byte("in-flight"), 0o600))
	}
	_, err = p.repos.Create(t.Context(), "firstpush", repo.SHA1)
	must(t, err)
	must(t, os.Symlink("/etc/passwd", filepath.Join(p.data, "ssh", "link")))
	must(t, os.WriteFile(filepath.Join(p.data, ".credential.1.tmp"), []byte("in-flight"), 0o600))
	var b bytes.Buffer
	sum, err := p.source().Write(t.Context(), &b)
	must(t, err)
	for _, word := range []string{"in-flight", "firstpush", "not kept", "root:"} {
		if bytes.Contains(b.Bytes(), []byte(word)) {
			t.Errorf("%q is in the archive", word)
		}
	}
	if len(sum.Left) != 1 || sum.Left[0] != "ssh/link" {
		t.Errorf("left: %v", sum.Left)
	}
}

// The memory of backing up and restoring a large file is logged, not asserted.
func TestALargeRepositoryStreams(t *testing.T) {
	p := newPlane(t)
	large, err := os.Create(filepath.Join(p.data, "repositories", "hello.git", "objects", "pack", "pack-large.pack"))
	must(t, err)
	must(t, large.Truncate(512<<20))
	must(t, large.Close())
	lock, key := keys(t)
	var most atomic.Uint64
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			}
		}
	})
	r, w := io.Pipe()
	go func() {
		out, err := lock.Close(w)
		if err == nil {
			_, err = p.source().Write(context.Background(), out)
			err = errors.Join(err, out.Close())
		}
		w.CloseWithError(err)
	}()
	in, err := key.Open(r)
	must(t, err)
	data := newTarget(t)
	began := time.Now()
	sum, err := target(data).Read(t.Context(), in)
	must(t, err)
	close(done)
	watch.Wait()
	t.Logf("%d MiB there and back in %s, with a heap of at most %d MiB (two etcds in it)", sum.Bytes>>20, time.Since(began).Round(time.Millisecond), most.Load()>>20)
	if info, err := os.Stat(filepath.Join(data, "repositories", "hello.git", "objects", "pack", "pack-large.pack")); err != nil || info.Size() != 512<<20 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestSave_wholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path+".tmp", []byte("a killed one's"), 0o644))
	write := func(text string, fail error) error {
		return archive.Save(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return errors.Join(err, fail) })
	}
	must(t, write("one", nil))
	if err := write("two", errors.New("cut")); err == nil {
		t.Error("no error")
	}
	got, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || string(got) != "one" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", got, err, info.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := archive.Save(filepath.Join(path, "x"), nil); err == nil {
		t.Error("written below a file")
	}
}
