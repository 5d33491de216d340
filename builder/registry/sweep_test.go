package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"lain.internal/lain/lain"
)

// store is a registry with a past.
type store struct {
	*Registry
	t    *testing.T
	dir  string
	host string
}

func newStore(t *testing.T) *store {
	t.Helper()
	var logs syncBuffer
	dir := t.TempDir()
	r, host := serve(t, dir, &logs)
	return &store{r, t, filepath.Join(dir, "data"), host}
}

// push brings an image and returns how a record would name it.
func (s *store) push(tag string, img v1.Image) lain.ImageRef {
	s.t.Helper()
	ref := reference(s.t, s.host, tag)
	if err := remote.Write(ref, img, basic(s.Credential())); err != nil {
		s.t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	return lain.ImageRef{Repository: ref.Context().RepositoryStr(), Digest: d.String()}
}

func (s *store) image(layers int) v1.Image {
	s.t.Helper()
	img, err := random.Image(4096, int64(layers))
	if err != nil {
		s.t.Fatal(err)
	}
	return img
}

// age makes everything there is two hours old, and forgets who asked for what.
func (s *store) age() {
	s.t.Helper()
	old := time.Now().Add(-2 * time.Hour)
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return gone(err)
		}
		return gone(os.Chtimes(path, old, old))
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.lately.mu.Lock()
	defer s.lately.mu.Unlock()
	clear(s.lately.at)
}

// gone takes it as no error that a sweep was faster.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *store) sweep(keep ...lain.ImageRef) Swept {
	s.t.Helper()
	set := map[lain.ImageRef]bool{}
	for _, ref := range keep {
		set[ref] = true
	}
	swept, err := s.Sweep(s.t.Context(), set)
	if err != nil {
		s.t.Fatal(err)
	}
	return swept
}

// whole pulls an image and checks each byte of it.
func (s *store) whole(ref lain.ImageRef) error {
	img, err := remote.Image(reference(s.t, s.host, ref.Repository+"@"+ref.Digest), basic(s.Credential()))
	if err != nil {
		return err
	}
	return validate.Image(img)
}

func (s *store) mustBeWhole(refs ...lain.ImageRef) {
	s.t.Helper()
	for _, ref := range refs {
		if err := s.whole(ref); err != nil {
			s.t.Errorf("%s is not whole: %v", ref, err)
		}
	}
}

func (s *store) blobs() int {
	files, err := filepath.Glob(filepath.Join(s.dir, "docker/registry/v2/blobs/sha256/*/*/data"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(files)
}

func TestSweepTakesWhatNothingKeeps(t *testing.T) {
	s := newStore(t)
	shared := s.image(2)
	kept := s.push("hello:release-1", shared)
	foreign := s.push("lain/foreign/redis:1", s.image(1))
	layers, err := shared.Layers()
	if err != nil {
		t.Fatal(err)
	}
	extended, err := mutate.AppendLayers(shared, layers[0])
	if err != nil {
		t.Fatal(err)
	}
	sharing := s.push("other:release-1", extended) // its layers are the kept one's as well
	gone := s.push("hello:release-0", s.image(3))
	s.age()
	swept := s.sweep(kept, foreign)
	if swept.Manifests != 2 || swept.Blobs != 2+2+3 || swept.Bytes < 3*4096 { // two manifests, two configs, three layers
		t.Errorf("swept %+v", swept)
	}
	s.mustBeWhole(kept, foreign)
	for _, ref := range []lain.ImageRef{sharing, gone} {
		if err := s.whole(ref); status(err) != http.StatusNotFound {
			t.Errorf("%s: %v", ref, err)
		}
	}
	tags, err := remote.List(reference(t, s.host, "hello:x").Context(), basic(s.Credential()))
	if err != nil || len(tags) != 1 || tags[0] != "release-1" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if again := s.sweep(kept, foreign); again != (Swept{}) {
		t.Errorf("a second sweep took %+v", again)
	}
	s.push("hello:release-0", s.image(3))
}

func TestAKeptDigestOutlivesItsTag(t *testing.T) {
	s := newStore(t)
	first := s.push("hello:release-1", s.image(1))
	second := s.push("hello:release-1", s.image(1))
	s.age()
	s.sweep(first, second)
	s.mustBeWhole(first, second)
	s.age()
	s.sweep(first)
	s.mustBeWhole(first)
	if err := s.whole(second); status(err) != http.StatusNotFound {
		t.Errorf("the second: %v", err)
	}
}

func TestAManifestWithoutATagGoesToo(t *testing.T) {
	s := newStore(t)
	img := s.image(1)
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref := s.push("hello@"+d.String(), img)
	s.age()
	s.sweep()
	if err := s.whole(ref); status(err) != http.StatusNotFound || s.blobs() != 0 {
		t.Errorf("%v, %d blobs", err, s.blobs())
	}
}

func TestAKeptIndexKeepsItsImages(t *testing.T) {
	s := newStore(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: s.image(1)}, mutate.IndexAddendum{Add: s.image(2)})
	ref := reference(t, s.host, "lain/foreign/many:1")
	if err := remote.WriteIndex(ref, index, basic(s.Credential())); err != nil {
		t.Fatal(err)
	}
	d, _ := index.Digest()
	s.age()
	s.sweep(lain.ImageRef{Repository: "lain/foreign/many", Digest: d.String()})
	got, err := remote.Index(ref, basic(s.Credential()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(got); err != nil {
		t.Errorf("the index is not whole: %v", err)
	}
}

func TestWhatIsYoungOrWasAskedForStays(t *testing.T) {
	s := newStore(t)
	asked, untouched := s.push("hello:release-1", s.image(1)), s.push("hello:release-2", s.image(1))
	s.age()
	if _, err := remote.Head(reference(t, s.host, "hello@"+asked.Digest), basic(s.Credential())); err != nil {
		t.Fatal(err)
	}
	young := s.push("hello:release-3", s.image(1))
	s.lately.forget() // what is young stays after a restart too
	clear(s.lately.at)
	s.lately.note(asked.Digest)
	if swept := s.sweep(); swept.Manifests != 1 {
		t.Errorf("swept %+v", swept)
	}
	s.mustBeWhole(asked, young)
	if err := s.whole(untouched); status(err) != http.StatusNotFound {
		t.Errorf("the one that nobody asked for: %v", err)
	}
}

// A push asks which blobs are there, brings the others, and then the manifest. Here old blobs that no manifest
// refers to are swept again and again while images made of them are pushed.
func TestPushesDuringASweepLoseNoBlob(t *testing.T) {
	s := newStore(t)
	stop := make(chan struct{})
	var sweeper sync.WaitGroup
	sweeps := 0
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Sweep(context.WithoutCancel(t.Context()), nil); err != nil {
				t.Error(err)
				return
			}
			sweeps++
		}
	})
	for i := range 12 {
		base := s.image(3)
		s.push("old:release-1", base)
		s.age() // from here on all of it may be swept at any instant
		next, err := mutate.AppendLayers(base, mustLayer(t))
		if err != nil {
			t.Fatal(err)
		}
		ref := reference(t, s.host, fmt.Sprintf("hello:release-%d", i))
		pushErr := remote.Write(ref, next, basic(s.Credential()))
		d, _ := next.Digest()
		if pushErr != nil {
			t.Fatalf("push %d: %v", i, pushErr)
		}
		s.mustBeWhole(lain.ImageRef{Repository: "hello", Digest: d.String()})
	}
	close(stop)
	sweeper.Wait()
	if sweeps < 2 {
		t.Errorf("%d sweeps ran meanwhile", sweeps)
	}
}

func mustLayer(t *testing.T) v1.Layer {
	t.Helper()
	layer, err := random.Layer(512, "application/vnd.oci.image.layer.v1.tar+gzip")
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// A crash leaves a sweep at any of its deletions: here it is ended at each by its context, and the store is opened
// anew.
func TestASweepThatBreaksOffHarmsNothing(t *testing.T) {
	s := newStore(t)
	kept := s.push("hello:release-1", s.image(2))
	for i := range 3 {
		s.push(fmt.Sprintf("hello:old-%d", i), s.image(2))
	}
	s.age()
	keep := map[lain.ImageRef]bool{kept: true}
	for cut := 1; ; cut++ {
		ctx := &countdown{Context: t.Context(), left: cut}
		_, err := s.Sweep(ctx, keep)
		var logs syncBuffer
		again, host := serve(t, filepath.Dir(s.dir), &logs)
		fresh := &store{again, t, s.dir, host}
		fresh.mustBeWhole(kept)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), errCut.Error()) { // distribution hides some causes
			t.Fatal(err)
		}
		s.age()
	}
	if n := s.blobs(); n != 4 { // manifest, config, two layers
		t.Errorf("%d blobs are left", n)
	}
}

var errCut = errors.New("cut")

// countdown is a context that has ended once it has been asked often enough.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func TestBrokenUploadsGo(t *testing.T) {
	s := newStore(t)
	kept := s.push("hello:release-1", s.image(1))
	uploads := filepath.Join(s.dir, "docker/registry/v2/repositories/hello/_uploads")
	begin := func(id string) {
		if err := errors.Join(os.MkdirAll(filepath.Join(uploads, id), 0o700), os.WriteFile(filepath.Join(uploads, id, "startedat"), nil, 0o600),
			os.WriteFile(filepath.Join(uploads, id, "data"), []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	begin("old")
	s.age()
	begin("young")
	s.sweep(kept)
	left, err := os.ReadDir(uploads)
	if err != nil || len(left) != 1 || left[0].Name() != "young" {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAFullDiskTakesNoImageAndServesThoseItHas(t *testing.T) {
	s := newStore(t)
	ref := s.push("hello:release-1", s.image(1))
	s.room = func() error { return errors.New("the server's disk has 1 MiB left") }
	err := remote.Write(reference(t, s.host, "hello:release-2"), s.image(1), basic(s.Credential()))
	if status(err) != http.StatusForbidden || !strings.Contains(err.Error(), "the server's disk has 1 MiB left") {
		t.Errorf("a push: %v", err)
	}
	s.mustBeWhole(ref)
	s.room = func() error { return nil }
	s.push("hello:release-2", s.image(1))
}

func TestWhatARequestNames(t *testing.T) {
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	for _, c := range []struct {
		method, url, body string
		want              int
	}{
		{http.MethodHead, "/v2/hello/blobs/" + a, "", 1},
		{http.MethodPost, "/v2/hello/blobs/uploads/?mount=" + a + "&from=other", "", 1},
		{http.MethodPut, "/v2/hello/blobs/uploads/123?digest=" + a, "", 1},
		{http.MethodPut, "/v2/hello/manifests/release-1", `{"config":{"digest":"` + a + `"},"layers":[{"digest":"` + b + `"}]}`, 3},
		{http.MethodGet, "/v2/hello/manifests/release-1", "", 0},
		{http.MethodGet, "/v2/hello/blobs/sha256:short", "", 0},
	} {
		req, err := http.NewRequest(c.method, "http://registry"+c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := named(req)
		if err != nil || len(got) != c.want {
			t.Errorf("%s %s: %v, %v", c.method, c.url, got, err)
		}
	}
	large, err := http.NewRequest(http.MethodPut, "http://registry/v2/hello/manifests/x", strings.NewReader(strings.Repeat("x", maxManifest+1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := named(large); err == nil {
		t.Error("a manifest of more than 4 MiB is read whole")
	}
}
