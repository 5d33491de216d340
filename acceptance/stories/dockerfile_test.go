//go:build acceptance

package stories

import (
	"strings"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// twoStages is a Dockerfile that makes the test application serve the word of a build argument.
const twoStages = `# syntax=docker/dockerfile:1
FROM lain/testapp:1 AS build
ARG WORD=none
RUN --mount=type=cache,target=/kept echo n >> /kept/count && echo builds so far: $(wc -l < /kept/count)
RUN echo $WORD > /version

FROM nobody.invalid/unwanted:1 AS unwanted

FROM lain/bare:1 AS release
COPY --from=build /bin/testapp /bin/testapp
COPY --from=build /version /srv/VERSION
COPY files/ /srv/files/
WORKDIR /srv
USER nobody
CMD ["/bin/testapp", "-version-file", "VERSION"]
`

// dockered is an application that is built from a Dockerfile; word is its build argument.
func dockered(app *town.App, dockerfile, word string, more ...string) {
	app.Write("docker/Dockerfile", dockerfile)
	app.Write(".dockerignore", "**/*.log\n")
	app.Write("files/kept.txt", "kept\n")
	app.Write("files/left.log", "left out\n")
	lines := append([]string{
		"appname: " + app.Name,
		"build:",
		"  dockerfile: docker/Dockerfile",
		"  target: release",
		"  build_arg: [WORD=" + word + "]",
	}, more...)
	lines = append(lines, "web:", "  port: 8080", "  healthcheck: /healthz")
	app.Write("lain.yaml", strings.Join(lines, "\n")+"\n")
}

func TestDockerfile_BuildsServesAndIsBuiltOnce(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "dockered")
	dockered(app, twoStages, "one", "test:", "  script: [test -e files/kept.txt && test ! -e files/left.log, pwd; id -u]")
	commit := app.Commit("with a Dockerfile")
	r := app.MustPush()
	inOrder(t, r.Stderr, "RUN --mount=type=cache", "builds so far: 1", "-----> Testing", "/srv", "65534", "v1 serves")
	if strings.Contains(r.Stderr, "unwanted") {
		t.Errorf("a stage that the target does not need:\n%s", r.Stderr)
	}
	app.Truth(commit, "one")

	app.Commit("the same files again")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "Already built by r-1 from the same files") || strings.Contains(r.Stderr, "builds so far") {
		t.Errorf("the same files again:\n%s", r.Stderr)
	}

	dockered(app, twoStages, "two")
	commit = app.Commit("another argument")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "builds so far: 2") {
		t.Errorf("another argument:\n%s", r.Stderr)
	}
	app.Truth(commit, "two")
}

func TestDockerfile_Refusals(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "misbuilt")
	good := "FROM lain/testapp:1 AS release\nCMD [\"/bin/testapp\", \"-version-file\", \"/VERSION\"]\nRUN echo one > /VERSION\n"
	dockered(app, good, "x")
	commit := app.Commit("good")
	app.MustPush()
	for _, c := range []struct{ name, dockerfile, reason, hint string }{
		{"a foreign frontend", "# syntax=nobody.invalid/frontend:1\n" + good, "docker/Dockerfile:1: a Dockerfile is read by the built-in frontend only", "docker/dockerfile:1"},
		{"a base that is not there", "FROM nobody.invalid/base:1\n" + good, "", ""}, // a stage that is not wanted
		{"a base that is not there, wanted", strings.Replace(good, "lain/testapp:1", "nobody.invalid/base:1", 1), "docker/Dockerfile:1: the Dockerfile names the image nobody.invalid/base:1", ">>> 1 | FROM nobody.invalid/base:1"},
		{"an address", good + "ADD http://127.0.0.1:5000/v2/ /x\n", "docker/Dockerfile:4: ADD takes files of the commit only", "RUN wget"},
		{"the host's network", good + "RUN --network=host true\n", "docker/Dockerfile:4: RUN --network=host is not granted", ""},
		{"more rights", good + "RUN --security=insecure true\n", "docker/Dockerfile:4: RUN --security=insecure is not granted", ""},
		{"a step that fails", good + "RUN echo nearly there && exit 7\n", "docker/Dockerfile:4: ", "nearly there"},
	} {
		dockered(app, c.dockerfile, "x")
		head := app.Commit(c.name)
		r := app.Push()
		if c.reason == "" {
			if r.Code != 0 {
				t.Errorf("%s:\n%s", c.name, r.All())
			}
			commit = head
			continue
		}
		r.Refused(t, c.reason, c.hint)
		app.Truth(commit, "one")
	}
}

// What a build leaves in a volume is found by the next build of the application, and by no container.
func TestBuildVolumes_AreKeptAndInNoImage(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "volumes")
	line := "  volumes: [/opt/kept]\n  script: [echo n >> /opt/kept/count; echo builds so far $(wc -l < /opt/kept/count)]"
	app.Manifest("")
	section(t, app, "  script: [echo building]", line)
	app.Change("one")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "builds so far 1") {
		t.Errorf("the first build:\n%s", r.Stderr)
	}
	app.Change("two")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "builds so far 2") {
		t.Errorf("the second build:\n%s", r.Stderr)
	}
	if code, body, err := tw.Get(app.Host(), "/file?p=/opt/kept/count"); code == 200 || err != nil {
		t.Errorf("it is in the image: %q, %v", body, err)
	}
}

// A secret of the build is asked for by its command, seen by the scripts, and in no image, no log and no container.
func TestBuildSecrets_AreSeenAndInNoImage(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "buildsecret")
	app.Manifest("", "  secret_files: [conf/key]")
	section(t, app, "  script: [echo building]", "  secrets: [token]\n  script: [wc -c < /run/secrets/token, cat /run/secrets/token]")
	app.Commit("with a secret of the build")
	refusedAtTheDoor(t, tw, app, app.Push(), "2 secret files are missing", "secret put "+app.Name+" /run/secrets/token < FILE", "secret put -p web "+app.Name)
	put(t, tw, "a value that is long enough", "secret put "+app.Name+" /run/secrets/token")
	put(t, tw, "first", "secret put "+app.Name+" conf/key")
	r := app.MustPush()
	if !strings.Contains(r.Stderr, "27") || !strings.Contains(r.Stderr, "[redacted]") || strings.Contains(r.All(), "long enough") {
		t.Errorf("the build said:\n%s", r.All())
	}
	if code, body, err := tw.Get(app.Host(), "/file?p=/run/secrets/token"); code == 200 && body != "" || err != nil {
		t.Errorf("a container sees %q, %v", body, err)
	}
	out, err := tw.Lab.Docker(t.Context(), "n1", "images", "-q", "--no-trunc", "--filter", "label=lain.app="+app.Name)
	if err != nil || strings.TrimSpace(out) == "" {
		t.Fatalf("images: %q, %v", out, err)
	}
	for _, id := range strings.Fields(out) {
		saved, err := tw.Lab.Docker(t.Context(), "n1", "save", id)
		if err != nil || strings.Contains(saved, "long enough") {
			t.Errorf("it is in the image %s, or %v", id, err)
		}
	}
	app.Commit("the same files again")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "Already built by") {
		t.Errorf("the same files again:\n%s", r.Stderr)
	}
}
