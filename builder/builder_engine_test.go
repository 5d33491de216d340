//go:build engine

package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

func whole() manifest.Manifest {
	return manifest.Manifest{
		Build: manifest.Build{
			Prepare: &manifest.Prepare{Script: []string{"mkdir deps", "echo dep-$SALT > deps/one; touch .hidden gone"}, Keep: []string{"deps"}, Args: []string{"SALT=s"}},
			Script: []string{`test ! -e gone && test ! -e .hidden && cat deps/one /root/.cache/seed`,
				"{ cat src/main; echo $VERSION $FLAVOUR; } > hello", "mkdir -p out/etc && echo conf > out/etc/it.conf && chmod 600 out/etc/it.conf", "echo to stderr >&2", "echo n >> /root/.cache/count; id"},
			Args: []string{"VERSION=v1", "FLAVOUR=ignored"},
		},
		Test: &manifest.Test{Script: []string{"grep hi hello", "echo tested"}},
		Release: &manifest.Release{DestBase: "lain-test-busybox:1", Script: []string{"echo released >> hello"},
			Copy: []manifest.Copy{{Src: "hello", Dest: "/srv/hello"}, {Src: "out/*", Dest: "/"}, {Src: "$PWD/deps", Dest: "/opt/"}}},
	}
}

func TestWholeBuild(t *testing.T) { onBoth(t, wholeBuild) }

func wholeBuild(t *testing.T, w *world) {
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": "1\n"})
	j, e := w.open(r)
	if needs, err := j.NeedsPrepare(t.Context()); err != nil || !needs {
		t.Fatalf("needs prepare: %v, %v", needs, err)
	}
	w.timed("prepare", j.Prepare)
	if needs, err := j.NeedsPrepare(t.Context()); err != nil || needs {
		t.Fatalf("still needs prepare: %v, %v", needs, err)
	}
	w.timed("build", j.Build)
	w.timed("test", j.Test)
	w.timed("release", j.Release)
	var ref lain.ImageRef
	w.timed("push", func(ctx context.Context) (err error) { ref, err = j.Push(ctx); return err })
	for _, line := range []string{"dep-s", "from the base", "to stderr", "tested"} {
		if !e.has(report.Output, line) {
			t.Errorf("no line %q in %q", line, e.lines(report.Output))
		}
	}
	w.checkImage(r, ref)
	w.timed("build again", j.Build)
	w.timed("test again", j.Test)
	w.timed("release again", j.Release)
	var again lain.ImageRef
	w.timed("push again", func(ctx context.Context) (err error) { again, err = j.Push(ctx); return err })
	if a, b := w.imageDigest(ref), w.imageDigest(again); a != b {
		t.Errorf("the same job made %s, then %s", a, b)
	}
	if n := strings.Count(strings.Join(e.lines(report.Output), "\n"), "tested"); n != 2 {
		t.Errorf("the tests ran %d times of 2", n)
	}
	if w.Builder.options.BuildKit.Addr != "" {
		return // the engine has nothing of it
	}
	ours, err := w.engine.Images(t.Context())
	if err != nil || !strings.Contains(fmt.Sprint(ours), string(r.App)+":release-1700000000-"+string(r.Commit)) {
		t.Errorf("the image is not among ours: %v, %v", ours, err)
	}
}

// checkImage reads what the registry has.
func (w *world) checkImage(r Request, ref lain.ImageRef) {
	w.t.Helper()
	digest, err := name.NewDigest(ref.On(w.host), name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.registry.Credential()
	img, err := remote.Image(digest, remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password}))
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		w.t.Fatal(err)
	}
	want := map[string]string{"lain.app": string(r.App), "lain.commit": string(r.Commit), "lain.run": "7", "lain.cluster": "test", "org.base": "yes"}
	if got := config.Config.Labels; fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("labels %v, want %v", got, want)
	}
	if !config.Created.Time.Equal(r.CommitTime) || !strings.Contains(fmt.Sprint(config.Config.Env), "FLAVOUR=plain") || config.Config.WorkingDir == "/lain/app" {
		w.t.Errorf("config: %+v", config)
	}
	layers, err := img.Layers()
	if err != nil {
		w.t.Fatal(err)
	}
	files := map[string]string{}
	for _, l := range layers[1:] {
		readLayer(w.t, l, files)
	}
	for path, want := range map[string]string{"srv/hello": "hi\nv1 plain\nreleased\n 644", "etc/it.conf": "conf\n 600", "opt/deps/one": "dep-s\n 644"} {
		if files[path] != want {
			w.t.Errorf("%s is %q, want %q; %v", path, files[path], want, files)
		}
	}
	if len(files) != 3 {
		w.t.Errorf("more files than asked for: %v", files)
	}
}

func readLayer(t *testing.T, l interface {
	Uncompressed() (io.ReadCloser, error)
}, files map[string]string) {
	t.Helper()
	rc, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	for archive := tar.NewReader(rc); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			body, _ := io.ReadAll(archive)
			files[h.Name] = fmt.Sprintf("%s %o", body, h.Mode&0o7777)
		}
	}
}

func TestSameTreeIsBuiltOnce(t *testing.T) {
	w := newWorld(t)
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": "1\n"})
	first, _ := w.open(r)
	w.timed("cold", first.Release)
	second, _ := w.open(r)
	if first.Key() != second.Key() || first.PrepareName() != second.PrepareName() {
		t.Error("one input, two keys")
	}
	w.timed("warm", second.Release)

	// Another file of the same size and time in a tree of its own: never the old content.
	other := r
	changed := w.request(whole(), map[string]string{"src/main": "ho\n", "go.sum": "1\n"})
	other.Tree, other.Context, other.Commit = changed.Tree, changed.Context, changed.Commit
	other.Manifest.Test = &manifest.Test{Script: []string{"cat hello"}}
	third, e := w.open(other)
	if third.Key() == first.Key() || third.PrepareName() != first.PrepareName() {
		t.Errorf("another tree: key %s, prepare %s", third.Key(), third.PrepareName())
	}
	w.timed("changed", third.Test)
	if !e.has(report.Output, "ho") {
		t.Errorf("the old file was built: %q", e.lines(report.Output))
	}
	lock := r
	changed = w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": "2\n"})
	lock.Tree, lock.Context = changed.Tree, changed.Context
	if fourth, _ := w.open(lock); fourth.PrepareName() == first.PrepareName() {
		t.Error("another go.sum has the same prepare image")
	}
}

func TestFailingStepIsNamed(t *testing.T) { onBoth(t, failingStepIsNamed) }

func failingStepIsNamed(t *testing.T, w *world) {
	m := manifest.Manifest{Build: manifest.Build{Script: []string{"true", "echo before", "printf 'no newline'; exit 42", "echo never"}}}
	j, e := w.open(w.request(m, nil))
	err := j.Build(t.Context())
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != fault.Failed || f.Sentence != "build.script[2] failed with exit code 42: ( printf 'no newline'; exit 42 )" || f.Hint == "" {
		t.Fatalf("got %#v", err)
	}
	if got := fmt.Sprint(e.lines(report.Output)); got != "[before no newline]" {
		t.Errorf("output %s", got)
	}
	m.Build.Script = []string{"true"}
	m.Release = &manifest.Release{DestBase: "scratch", Copy: []manifest.Copy{{Src: "/bin/busybox", Dest: "/b"}, {Src: "missing", Dest: "/x"}}}
	j, _ = w.open(w.request(m, nil))
	if err := j.Release(t.Context()); !errors.As(err, &f) || f.Sentence != "release.copy[1] failed with exit code 1: missing to /x" {
		t.Errorf("got %v", err)
	}
	m.Release.Copy = m.Release.Copy[:1]
	j, _ = w.open(w.request(m, nil))
	w.timed("on scratch", j.Release)
}

func TestCancelEndsAStepAtOnce(t *testing.T) { onBoth(t, cancelEndsAStepAtOnce) }

func cancelEndsAStepAtOnce(t *testing.T, w *world) {
	m := manifest.Manifest{Build: manifest.Build{Script: []string{"echo started; sleep 30017"}}}
	started := make(chan struct{})
	j, err := w.Open(t.Context(), w.request(m, nil), report.Func(func(e report.Event) {
		if e.Text == "started" {
			close(started)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	why := errors.New("a newer push")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Build(ctx) }()
	<-started
	for !running("sleep\x0030017\x00") {
		time.Sleep(10 * time.Millisecond)
	}
	at := time.Now()
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	t.Logf("cancelled within %s", time.Since(at).Round(time.Millisecond))
	for running("sleep\x0030017\x00") {
		if time.Since(at) > 10*time.Second {
			t.Fatal("the step still runs")
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("step gone after %s", time.Since(at).Round(time.Millisecond))
}

// running looks for a command line among the machine's processes, those of containers included.
func running(cmdline string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && string(data) == cmdline {
			return true
		}
	}
	return false
}

func TestTimeLimitAndSlots(t *testing.T) {
	w := newWorld(t)
	o := w.options
	o.MaxBuilds, o.TimeLimit, o.WorkDir = 1, 3*time.Second, t.TempDir()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	m := manifest.Manifest{Build: manifest.Build{Script: []string{"echo started; sleep 300"}}}
	started := make(chan struct{})
	slow, err := b.Open(t.Context(), w.request(m, nil), report.Func(func(e report.Event) {
		if e.Text == "started" {
			close(started)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	ended := make(chan error, 1)
	go func() { ended <- slow.Build(t.Context()) }()
	<-started
	e := &events{}
	m.Build.Script = []string{"echo quick"}
	quick, err := b.Open(t.Context(), w.request(m, nil), e)
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	w.timed("in turn", quick.Build)
	if !e.has(report.Detail, "Waiting for a build slot: 1 builds are running.") || !e.has(report.Output, "quick") {
		t.Errorf("events %v", e.list)
	}
	var f *fault.Fault
	if err := <-ended; !errors.As(err, &f) || f.Sentence != "build took longer than 3s and was stopped" {
		t.Errorf("got %v", err)
	}
}

func TestEveryLineArrives(t *testing.T) { onBoth(t, everyLineArrives) }

func everyLineArrives(t *testing.T, w *world) {
	const n = 200_000
	m := manifest.Manifest{Build: manifest.Build{Script: []string{fmt.Sprintf("seq 1 %d", n)}}}
	j, e := w.open(w.request(m, nil))
	w.timed("200000 lines", j.Build)
	got := e.lines(report.Output)
	if len(got) != n {
		t.Fatalf("%d lines of %d arrived; warnings %q", len(got), n, e.lines(report.Warning))
	}
	for i, line := range got {
		if line != fmt.Sprint(i+1) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}

func TestBasesThatCannotBeHad(t *testing.T) {
	w := newWorld(t)
	theirs, _ := w.open(w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"echo secret > s"}, Prepare: &manifest.Prepare{}}}, nil))
	w.timed("theirs", theirs.Prepare)
	for base, want := range map[string]string{
		w.host + "/no-such:1": "neither on the server",
		theirs.PrepareName():  "neither on the server",
		"UPPER CASE":          "not the name of an image",
		"scratch":             "not the name of an image",
	} {
		r := w.request(manifest.Manifest{Build: manifest.Build{Base: base}}, nil)
		_, err := w.Open(t.Context(), r, report.Discard)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Kind != fault.Invalid || !strings.Contains(f.Sentence, want) {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestBaseIsPulledFromTheRegistry(t *testing.T) {
	w := newWorld(t)
	pushed := w.host + "/bases/busybox:1"
	if err := w.engine.Tag(t.Context(), w.base, pushed); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.Push(t.Context(), pushed, w.options.RegistryAuth); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.Push(t.Context(), pushed, engine.Auth{Username: "lain", Password: "wrong"}); err == nil {
		t.Error("pushed with a wrong password")
	}
	if err := w.engine.RemoveImage(t.Context(), pushed); err != nil {
		t.Fatal(err)
	}
	j, e := w.open(w.request(manifest.Manifest{Build: manifest.Build{Base: pushed, Script: []string{"echo here"}}}, nil))
	w.timed("on a pulled base", j.Build)
	if !e.has(report.Detail, "Pulling "+pushed) || !e.has(report.Output, "here") {
		t.Errorf("events %v", e.list)
	}
}

func TestBaseThatRunsAsAUser(t *testing.T) {
	w := newWorld(t)
	base := "lain-test-user:1"
	body, err := w.api.ImageImport(t.Context(), image.ImportSource{Source: userBase(t), SourceName: "-"}, base, image.ImportOptions{Changes: []string{"USER 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, body)
	_ = body.Close()
	m := manifest.Manifest{Build: manifest.Build{Base: base, Script: []string{"echo made > made; id -u; ls -ln src/main"}, Prepare: &manifest.Prepare{Script: []string{"echo x > y"}}}}
	j, e := w.open(w.request(m, map[string]string{"src/main": "hi"}))
	w.timed("as a user", j.Build)
	if !e.has(report.Output, "1000") {
		t.Errorf("output %q", e.lines(report.Output))
	}
}

func userBase(t *testing.T) io.Reader {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	_ = archive.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))})
	_, _ = archive.Write(busybox)
	passwd := "app:x:1000:1000::/:/bin/sh\n"
	_ = archive.WriteHeader(&tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))})
	_, _ = io.WriteString(archive, passwd)
	_ = archive.WriteHeader(&tar.Header{Name: "etc/group", Mode: 0o644, Size: int64(len("app:x:1000:\n"))})
	_, _ = io.WriteString(archive, "app:x:1000:\n")
	for applet := range strings.FieldsSeq("sh id ls rm") {
		_ = archive.WriteHeader(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
	}
	_ = archive.Close()
	return &buf
}

func TestForeignImages(t *testing.T) {
	w := newWorld(t)
	ref, err := w.Foreign(t.Context(), w.base)
	if err != nil || ref.Foreign {
		t.Fatalf("an imported image: %+v, %v", ref, err)
	}
	if has, err := w.Has(t.Context(), ref); err != nil || !has {
		t.Errorf("it is in the registry: %v, %v", has, err)
	}
	app, _ := w.open(w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"true"}, Prepare: &manifest.Prepare{}}}, nil))
	w.timed("app", app.Release)
	for _, name := range []string{app.PrepareName(), app.releaseName(), "UPPER", w.host + "/none:1"} {
		var f *fault.Fault
		if got, err := w.Foreign(t.Context(), name); !errors.As(err, &f) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestForget(t *testing.T) {
	w := newWorld(t)
	r := w.request(whole(), map[string]string{"src/main": "hi\n"})
	j, _ := w.open(r)
	w.timed("release", j.Release)
	ref, err := j.Push(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if has, err := w.Has(t.Context(), ref); err != nil || !has {
		t.Errorf("before: %v, %v", has, err)
	}
	for range 2 {
		if err := w.Forget(t.Context(), r.App); err != nil {
			t.Fatal(err)
		}
		if has, err := w.Has(t.Context(), ref); err != nil || has {
			t.Errorf("after: %v, %v", has, err)
		}
		images, err := w.engine.Images(t.Context())
		if err != nil || strings.Contains(fmt.Sprint(images), string(r.App)) {
			t.Errorf("still in the engine: %v, %v", images, err)
		}
	}
}

func TestHostileArchiveIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.request(manifest.Manifest{}, nil)
	var buf bytes.Buffer
	archive := tar.NewWriter(&buf)
	_ = archive.WriteHeader(&tar.Header{Name: "../../etc/x", Typeflag: tar.TypeReg})
	_ = archive.Close()
	r.Context = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(&buf), nil }
	j, _ := w.open(r)
	var f *fault.Fault
	if err := j.Build(t.Context()); !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.options.WorkDir, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
