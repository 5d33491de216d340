//go:build engine

package builder

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// built builds and pushes one application, whole, and closes its job.
func (w *world) built() (Request, lain.ImageRef, string) {
	w.t.Helper()
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": w.t.Name() + time.Now().String()})
	j, _ := w.open(r)
	var ref lain.ImageRef
	w.timed("release", j.Release)
	w.timed("push", func(ctx context.Context) (err error) { ref, err = j.Push(ctx); return err })
	prepared := j.PrepareName()
	if err := j.Close(); err != nil {
		w.t.Fatal(err)
	}
	return r, ref, prepared
}

func (w *world) has(name string) bool {
	w.t.Helper()
	_, err := w.engine.ImageConfig(w.t.Context(), name)
	if err != nil && !errors.Is(err, engine.ErrNoImage) {
		w.t.Fatal(err)
	}
	return err == nil
}

func (w *world) releaseName(r Request) string {
	return w.host + "/" + string(r.App) + ":release-1700000000-" + string(r.Commit)
}

// anHourLater lets go of what builds held lately.
func (w *world) anHourLater() {
	w.names.mu.Lock()
	defer w.names.mu.Unlock()
	clear(w.names.until)
}

func TestCleanTakesWhatNothingKeeps(t *testing.T) {
	w := newWorld(t)
	kept, keptRef, keptPrepared := w.built()
	gone, goneRef, gonePrepared := w.built()
	used, usedRef, _ := w.built()
	mine := "mine-" + string(gone.App) + ":1"
	if err := w.engine.Tag(t.Context(), w.base, mine); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Foreign(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	foreign := w.host + "/" + foreignPrefix + strings.TrimSuffix(mine, ":1")
	if copies, err := w.engine.ImagesNamed(t.Context(), foreign); err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	c, err := w.api.ContainerCreate(t.Context(), &container.Config{Image: w.releaseName(used), Cmd: []string{"sleep", "100"}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
		_ = w.engine.RemoveImage(context.Background(), mine)
	})
	if err := w.api.ContainerStart(t.Context(), c.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	keep := Keep{Images: map[lain.ImageRef]bool{keptRef: true}, Prepared: map[string]bool{keptPrepared: true}, Tagged: time.Now().Add(-time.Hour)}
	if freed, err := w.Clean(t.Context(), keep); err != nil || !w.has(w.releaseName(gone)) {
		t.Fatalf("what got its name within the hour goes: %+v, %v", freed, err)
	}
	keep.Tagged = time.Now().Add(time.Minute)
	if freed, err := w.Clean(t.Context(), keep); err != nil || !w.has(gonePrepared) || !w.has(w.releaseName(gone)) {
		t.Fatalf("what a build has just made goes: %+v, %v", freed, err)
	}
	w.anHourLater()
	freed, err := w.Clean(t.Context(), keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("freed %+v", freed)
	if !w.has(w.releaseName(kept)) || !w.has(keptPrepared) {
		t.Error("what is kept went")
	}
	if w.has(w.releaseName(gone)) || w.has(gonePrepared) {
		t.Error("what nothing keeps stays")
	}
	if !w.has(w.releaseName(used)) {
		t.Error("an image that a container uses went")
	}
	if copies, err := w.engine.ImagesNamed(t.Context(), foreign); err != nil || len(copies) != 0 {
		t.Errorf("the copy of a foreign image stays: %v, %v", copies, err)
	}
	if !w.has(mine) || !w.has(w.base) {
		t.Error("a name that is not ours went")
	}
	swept, err := w.registry.Sweep(t.Context(), map[lain.ImageRef]bool{keptRef: true, usedRef: true})
	if err != nil || swept.Manifests != 0 {
		t.Errorf("the registry keeps what was pushed within the hour: %+v, %v", swept, err)
	}
	for _, ref := range []lain.ImageRef{keptRef, goneRef} {
		if have, err := w.Has(t.Context(), ref); err != nil || !have {
			t.Errorf("%s: %v, %v", ref, have, err)
		}
	}
}

func TestCleanHoldsTheBuildCacheDown(t *testing.T) {
	w := newWorld(t)
	m := whole()
	m.Build.Script = append(m.Build.Script, "head -c 8388608 /dev/zero > blob") // stays in the cache only
	r := w.request(m, map[string]string{"src/main": "hi\n", "go.sum": time.Now().String()})
	j, _ := w.open(r)
	w.timed("build", j.Build)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	freed, err := w.Clean(t.Context(), Keep{CacheBytes: 1 << 40})
	if err != nil || freed.CacheBytes != 0 {
		t.Errorf("below its limit: %+v, %v", freed, err)
	}
	if freed, err = w.Clean(t.Context(), Keep{CacheBytes: 1 << 20}); err != nil || freed.CacheBytes < 8<<20 {
		t.Errorf("above its limit: %+v, %v", freed, err)
	}
	again, _ := w.open(r)
	w.timed("build again", again.Build) // what was pruned is made again
}
