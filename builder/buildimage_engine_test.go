//go:build engine

package builder

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"

	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

// file reads a file of an image.
func (w *world) file(image, path string) (string, error) {
	w.t.Helper()
	c, err := w.api.ContainerCreate(w.t.Context(), &container.Config{Image: image, Cmd: []string{"true"}}, nil, nil, nil, "")
	if err != nil {
		return "", err
	}
	defer func() {
		_ = w.api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
	}()
	from, _, err := w.api.CopyFromContainer(w.t.Context(), c.ID, path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	archive := tar.NewReader(from)
	if _, err := archive.Next(); err != nil {
		return "", err
	}
	data, err := io.ReadAll(archive)
	return string(data), err
}

// stages of an event list are its headings.
func (e *events) stages() int { return len(e.lines(report.Stage)) }

func TestBuildImage(t *testing.T) {
	w := newWorld(t)
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": time.Now().String()})
	released, _ := w.open(r)
	w.timed("release", released.Release)

	j, e := w.open(r)
	var id string
	image := func(j *Job) func(context.Context) error {
		return func(ctx context.Context) (err error) { id, err = j.BuildImage(ctx); return err }
	}
	w.timed("build image", image(j))
	if e.stages() != 1 || !e.has(report.Detail, "build.script: nothing changed, taken from the cache") {
		t.Errorf("it was said: %v", e.list)
	}
	for path, want := range map[string]string{"/lain/app/hello": "hi\nv1 plain\n", "/lain/app/src/main": "hi\n", "/lain/app/deps/one": "dep-s\n"} {
		if got, err := w.file(id, path); err != nil || got != want {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	config, err := w.engine.ImageConfig(t.Context(), id)
	if err != nil || config.Workdir != "/lain/app" || config.User != "" || config.Labels["lain.app"] != string(r.App) || config.Labels["lain.cluster"] != "test" ||
		config.Labels["lain.commit"] != "" || len(config.Digests) != 0 || !strings.Contains(strings.Join(config.Env, " "), "FLAVOUR=plain") {
		t.Errorf("%+v, %v", config, err)
	}

	if err := w.engine.RemoveImage(t.Context(), j.buildName()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.api.BuildCachePrune(t.Context(), build.CachePruneOptions{All: true}); err != nil { // with a limit, some stays at times
		t.Fatal(err)
	}
	w.timed("anew", image(j))
	if e.stages() != 2 || !e.has(report.Output, "to stderr") {
		t.Errorf("it was said: %v", e.list)
	}

	first := id
	other := r
	other.Commit, other.CommitTime = "0123456789012345678901234567890123456789", time.Unix(1_800_000_000, 0)
	again, e := w.open(other) // of the same tree
	w.timed("again", image(again))
	if id != first || e.stages() != 0 {
		t.Errorf("another image of the same build: %s and %s, %v", first, id, e.list)
	}
}

// The image is kept while a job needs it or a container is of it, and goes as others do, with its files.
func TestBuildImage_LeavesNothing(t *testing.T) {
	w := newWorld(t)
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": time.Now().String()})
	j, _ := w.open(r)
	id, err := j.BuildImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := j.buildName()
	all := Keep{Tagged: time.Now().Add(time.Minute)}
	clean := func(what string, stays bool) {
		t.Helper()
		if _, err := w.Clean(t.Context(), all); err != nil || w.has(name) != stays {
			t.Fatalf("%s: is it there? %v, %v", what, w.has(name), err)
		}
	}
	w.anHourLater()
	clean("held", true)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(w.options.WorkDir); err != nil || len(left) != 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	c, err := w.api.ContainerCreate(t.Context(), &container.Config{Image: id, Cmd: []string{"sleep", "100"}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	remove := func() error {
		return w.api.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true})
	}
	t.Cleanup(func() { _ = remove() })
	w.anHourLater()
	clean("used", true)
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	clean("old", false)
}

func TestBuildImage_EndsWithItsPerson(t *testing.T) {
	w := newWorld(t)
	m := manifest.Manifest{Build: manifest.Build{Script: []string{"echo started; sleep 30019"}}}
	ctx, leave := context.WithCancelCause(t.Context())
	gone := errors.New("the person is gone")
	j, err := w.Open(t.Context(), w.request(m, nil), report.Func(func(e report.Event) {
		if e.Text == "started" {
			leave(gone)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.BuildImage(ctx)
	if !errors.Is(err, gone) || w.has(j.buildName()) {
		t.Errorf("%v, and is it there? %v", err, w.has(j.buildName()))
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(w.options.WorkDir); err != nil || len(left) != 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestBuildImage_OfADockerfile(t *testing.T) {
	w := newWorld(t)
	j, _ := w.open(w.dockerfile(stages))
	id, err := j.BuildImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := w.engine.ImageConfig(t.Context(), id)
	if err != nil || config.Workdir != "/srv" || config.User != "1000:1000" {
		t.Errorf("%+v, %v", config, err)
	}
	if got, err := w.file(id, "/srv/out"); err != nil || got != "v1 plain\n" {
		t.Errorf("%q, %v", got, err)
	}
}
