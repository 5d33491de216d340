//go:build engine

package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

const stages = `# syntax=docker/dockerfile:1
FROM lain-test-busybox:1 AS build
ARG VERSION=none
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/kept echo n >> /kept/count && ls > list && echo "$VERSION $FLAVOUR" > out

FROM scratch AS unwanted
COPY --from=nobody/has:1 / /

FROM lain-test-busybox:1 AS release
WORKDIR /srv
COPY --link --from=build /src/out /src/list ./
USER 1000:1000
EXPOSE 8080
ENV MODE=plain
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "true"]
`

func dockered() manifest.Manifest {
	return manifest.Manifest{Build: manifest.Build{Dockerfile: "docker/Dockerfile", DockerfileLine: 3, Target: "release", Args: []string{"VERSION=v1"}},
		Test: &manifest.Test{Script: []string{"grep 'v1 plain' out", "pwd; id -u"}}}
}

func (w *world) dockerfile(text string, more ...string) Request {
	files := map[string]string{"docker/Dockerfile": text, "main": "hi\n", "skip.log": "x\n", ".dockerignore": "*.log\n"}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	r := w.request(dockered(), files)
	r.Manifest.Build.Base = ""
	return r
}

func TestDockerfileIsBuilt(t *testing.T) { onBoth(t, dockerfileIsBuilt) }

func dockerfileIsBuilt(t *testing.T, w *world) {
	r := w.dockerfile(stages)
	j, e := w.open(r)
	w.timed("build", j.Build)
	w.timed("test", j.Test)
	w.timed("release", j.Release)
	var ref lain.ImageRef
	w.timed("push", func(ctx context.Context) (err error) { ref, err = j.Push(ctx); return err })
	for _, line := range []string{"v1 plain", "/srv", "1000"} {
		if !e.has(report.Output, line) {
			t.Errorf("no line %q in %q", line, e.lines(report.Output))
		}
	}
	if steps := strings.Join(e.lines(report.Detail), "\n"); !strings.Contains(steps, "RUN --mount=type=cache") || strings.Contains(steps, "unwanted") {
		t.Errorf("steps told of:\n%s", steps)
	}
	image := w.pulled(ref)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"lain.app": string(r.App), "lain.commit": string(r.Commit), "lain.run": "7", "lain.cluster": "test", "org.base": "yes"}
	c := config.Config
	if fmt.Sprint(c.Labels) != fmt.Sprint(want) || c.User != "1000:1000" || c.WorkingDir != "/srv" || fmt.Sprint(c.Entrypoint, c.Cmd) != "[/bin/sh] [-c true]" ||
		!slices.Contains(c.Env, "MODE=plain") || !slices.Contains(c.Env, "FLAVOUR=plain") || !config.Created.Time.Equal(r.CommitTime) {
		t.Errorf("config: %+v", config)
	}
	files := w.files(image)
	if files["srv/out"] != "v1 plain\n 644" || !strings.Contains(files["srv/list"], "main") || strings.Contains(files["srv/list"], "skip.log") || files["kept/count"] != "" {
		t.Errorf("files: %v", files)
	}
}

func (w *world) pulled(ref lain.ImageRef) v1.Image {
	w.t.Helper()
	digest, err := name.NewDigest(ref.On(w.host), name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.registry.Credential()
	image, err := remote.Image(digest, remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password}))
	if err != nil {
		w.t.Fatal(err)
	}
	return image
}

// files are those of all layers but the first, which is the base's.
func (w *world) files(image v1.Image) map[string]string {
	w.t.Helper()
	layers, err := image.Layers()
	if err != nil {
		w.t.Fatal(err)
	}
	files := map[string]string{}
	for _, l := range layers[1:] {
		readLayer(w.t, l, files)
	}
	return files
}

// The same tree has the same key; a patched base has another, and so has another argument.
func TestDockerfileKey(t *testing.T) {
	w := newWorld(t)
	r := w.dockerfile(strings.ReplaceAll(stages, "busybox:1", "patched:1"))
	w.tag(w.base, "lain-test-patched:1")
	first, _ := w.open(r)
	again, _ := w.open(r)
	if first.Key() != again.Key() {
		t.Error("one input, two keys")
	}
	w.importAs("lain-test-patched:1", "LABEL org.base=patched")
	if patched, _ := w.open(r); patched.Key() == first.Key() {
		t.Error("a patched base has the same key")
	}
}

func (w *world) tag(from, to string) {
	w.t.Helper()
	if err := w.api.ImageTag(w.t.Context(), from, to); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.engine.RemoveImage(context.Background(), to) })
}

func TestDockerfileRefusals(t *testing.T) {
	w := newWorld(t)
	cases := map[string]struct {
		text, says string
		line       int
	}{
		"a missing base":     {"FROM lain-test-busybox:1 AS a\n\nFROM nobody.invalid/has:1 AS release\n", "the Dockerfile names the image nobody.invalid/has:1", 3},
		"a foreign frontend": {"# syntax=nobody.invalid/frontend\nFROM lain-test-busybox:1 AS release\n", "built-in frontend only", 1},
		"an address":         {"FROM lain-test-busybox:1 AS release\nADD http://127.0.0.1/ /x\n", "fetches no addresses", 2},
	}
	for what, c := range cases {
		_, err := w.Open(t.Context(), w.dockerfile(c.text), &events{})
		var f *fault.Fault
		if !errors.As(err, &f) || !strings.Contains(f.Sentence, c.says) || f.File != "docker/Dockerfile" || f.Line != c.line {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := w.dockerfile(stages)
	r.Manifest.Build.Dockerfile = "Dockerfile"
	var f *fault.Fault
	if _, err := w.Open(t.Context(), r, &events{}); !errors.As(err, &f) || !strings.Contains(f.Sentence, "names Dockerfile, which is not in the commit") {
		t.Errorf("no Dockerfile: %v", err)
	}
}

// What fails while it builds has its line, too.
func TestDockerfileFailures(t *testing.T) { onBoth(t, dockerfileFailures) }

func dockerfileFailures(t *testing.T, w *world) {
	cases := map[string]struct {
		text, says string
		line       int
	}{
		"a step":           {"FROM lain-test-busybox:1 AS release\nRUN true\nRUN echo before && \\\n  exit 42\n", "failed with exit code 42", 3},
		"a file not there": {"FROM lain-test-busybox:1 AS release\nCOPY nowhere /x\n", "COPY nowhere /x", 2},
	}
	for what, c := range cases {
		j, _ := w.open(w.dockerfile(c.text))
		err := j.Build(t.Context())
		var f *fault.Fault
		if !errors.As(err, &f) || !strings.Contains(f.Sentence, c.says) || f.File != "docker/Dockerfile" || f.Line != c.line {
			t.Errorf("%s: %v, %v", what, err, errors.Unwrap(err))
		}
	}
}

// What a build leaves in a volume is there for the next one, and in no image.
func TestVolumesAreKept(t *testing.T) { onBoth(t, volumesAreKept) }

func volumesAreKept(t *testing.T, w *world) {
	m := manifest.Manifest{Build: manifest.Build{Script: []string{"cat /root/.m2/count /opt/kept/count; echo n >> /root/.m2/count; echo n >> /opt/kept/count"}, Volumes: []string{"/root/.m2", "/opt/kept", "/root/.cache"}}}
	r := w.request(m, map[string]string{"main": "1"})
	r.Manifest.Build.Script = append([]string{"touch /root/.m2/count /opt/kept/count"}, r.Manifest.Build.Script...)
	j, e := w.open(r)
	w.timed("first", j.Release)
	if e.has(report.Output, "n") {
		t.Errorf("a new application finds %q", e.lines(report.Output))
	}
	next := r
	changed := w.request(m, map[string]string{"main": "2"})
	next.Tree, next.Context, next.Commit = changed.Tree, changed.Context, changed.Commit
	j, e = w.open(next)
	w.timed("second", j.Release)
	if n := len(e.lines(report.Output)); n != 2 {
		t.Errorf("the second build finds %q", e.lines(report.Output))
	}
	ref, err := j.Push(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path := range w.files(w.pulled(ref)) {
		if strings.Contains(path, "count") {
			t.Errorf("%s is in the image", path)
		}
	}
	other, e := w.open(w.request(*r.Manifest, map[string]string{"main": "1"}))
	w.timed("another app", other.Build)
	if e.has(report.Output, "n") {
		t.Errorf("another application finds %q", e.lines(report.Output))
	}
}

// A secret is there for the scripts of the build, and in no layer, no later step and no key.
func TestSecretsAreInNoLayer(t *testing.T) { onBoth(t, secretsAreInNoLayer) }

func secretsAreInNoLayer(t *testing.T, w *world) {
	value := "the value of the token"
	own := w.request(manifest.Manifest{Build: manifest.Build{
		Prepare: &manifest.Prepare{Script: []string{"wc -c < /run/secrets/token"}},
		Script:  []string{"grep -q value /opt/token && echo seen"},
		Secrets: []manifest.BuildSecret{{Name: "token", Target: "/run/secrets/token"}, {Name: "other", Target: "/opt/token"}},
	}, Test: &manifest.Test{Script: []string{"! test -s /run/secrets/token && ! test -s /opt/token"}}}, map[string]string{"main": "1"})
	docker := w.dockerfile("FROM lain-test-busybox:1 AS release\nRUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token\n")
	docker.Manifest.Test = &manifest.Test{Script: []string{"! test -s /run/secrets/token"}}
	docker.Manifest.Build.Secrets = []manifest.BuildSecret{{Name: "token", Target: "/run/secrets/token"}}
	for what, r := range map[string]Request{"scripts": own, "Dockerfile": docker} {
		r.Secrets = []Secret{{"token", "l-1", []byte(value)}, {"other", "l-2", []byte(value)}}
		j, e := w.open(r)
		w.timed(what, j.Build)
		w.timed("test", j.Test)
		w.timed("release", j.Release)
		if !e.has(report.Output, "22") {
			t.Errorf("%s: it was not seen: %q", what, e.lines(report.Output))
		}
		ref, err := j.Push(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		image := w.pulled(ref)
		raw, err := image.RawConfigFile()
		if err != nil || strings.Contains(string(raw), value) {
			t.Errorf("%s: it is in the config, or %v", what, err)
		}
		for path, content := range w.files(image) {
			if strings.Contains(content, value) {
				t.Errorf("%s: it is in %s", what, path)
			}
		}
		r.Secrets = []Secret{{"token", "l-9", []byte(value)}, {"other", "l-2", []byte(value)}}
		if again, _ := w.open(r); again.Key() == j.Key() || again.PrepareName() == j.PrepareName() && j.PrepareName() != "" {
			t.Errorf("%s: another version has the same key", what)
		}
	}
}
