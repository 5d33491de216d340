package llb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
)

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

var errAbsent = fault.New(fault.Invalid, "it is not there")

// shelf has two images, of which one wants things of whoever begins from it.
func shelf(_ context.Context, name string) (BaseImage, error) {
	if !strings.HasPrefix(name, "docker.io/lain/") {
		return BaseImage{}, errAbsent
	}
	word := strings.NewReplacer("docker.io/lain/", "", ":", "-").Replace(name)
	return BaseImage{Image: Image{Ref: "lain.invalid/home/base:" + word, ID: "sha256:" + word}, Platform: amd64, Layers: []string{"sha256:x"},
		Config: ocispec.ImageConfig{Env: []string{"PATH=/" + word}, WorkingDir: "/work", Labels: map[string]string{"lain.app": "other", "keep": "it"}}}, nil
}

const twoStages = `# syntax=docker/dockerfile:1
ARG GO=lain/golang:1.26
FROM ${GO} AS build
ARG VERSION=none
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache go build -ldflags "-X main.v=$VERSION" -o /hello .

FROM build AS check
RUN go test ./...

FROM lain/bare:1 AS release
COPY --from=build /hello /bin/hello
COPY --from=lain/extra:2 /conf /etc/hello
USER 1000
EXPOSE 8080
ENV MODE=plain
CMD ["/bin/hello"]
`

func dockerfile(text string) Dockerfile {
	return Dockerfile{Path: "docker/Dockerfile", Text: []byte(text), Target: "release", Args: []string{"VERSION=1"}, Ignore: []string{"*.log"}, Platform: amd64}
}

func dockered(t *testing.T, text string) Graph {
	t.Helper()
	g := full()
	g.Base, g.DestBase, g.Prepared = Image{}, Image{}, ""
	g.Manifest = &manifest.Manifest{AppName: "hello", Build: manifest.Build{Dockerfile: "docker/Dockerfile", Target: "release"}, Test: &manifest.Test{Script: []string{"./check"}}}
	var err error
	if g.Dockerfile, err = g.FromDockerfile(t.Context(), dockerfile(text), shelf); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDockerfile(t *testing.T) {
	g := dockered(t, twoStages)
	file := filepath.Join("testdata", "dockerfile.golden")
	got := dump(t, g.Release()) + "\nTEST\n" + dump(t, g.Test())
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v; the graph is now:\n%s\nIf that is what you want: go test ./builder/llb -update", err, got)
	}
	config, err := g.Dockerfile.ImageConfig(time.Unix(0, 0).UTC(), func(l map[string]string) map[string]string { return map[string]string{"was": l["keep"]} })
	for _, part := range []string{`"User":"1000"`, `"8080/tcp"`, `"MODE=plain"`, `"Cmd":["/bin/hello"]`, `"WorkingDir":"/work"`, `"was":"it"`, `"created":"1970-01-01T00:00:00Z"`} {
		if err != nil || !strings.Contains(string(config), part) {
			t.Errorf("no %s in the config: %s, %v", part, config, err)
		}
	}
}

// A base with another content, and no other stage's, makes another key.
func TestDockerfile_keyNamesItsBases(t *testing.T) {
	g := dockered(t, twoStages)
	key := g.Key()
	if key != dockered(t, twoStages).Key() {
		t.Error("one input, two keys")
	}
	if len(g.Dockerfile.Bases) != 3 {
		t.Errorf("bases: %v", g.Dockerfile.Bases)
	}
	for name := range g.Dockerfile.Bases {
		was := g.Dockerfile.Bases[name]
		g.Dockerfile.Bases[name] = "sha256:patched"
		if g.Key() == key {
			t.Errorf("a patched %s has the same key", name)
		}
		g.Dockerfile.Bases[name] = was
	}
}

// What is refused, says so at its line of the Dockerfile.
func TestDockerfile_refuses(t *testing.T) {
	cases := map[string]struct {
		text string
		line int
		says string
	}{
		"a foreign frontend":         {"# syntax=example.com/frontend:1\nFROM lain/bare:1 AS release\n", 1, "this names another one"},
		"a frontend by digest":       {"# escape=\\\n# syntax=docker/dockerfile:1@sha256:" + strings.Repeat("a", 64) + "\nFROM lain/bare:1 AS release\n", 2, "this names another one"},
		"labs":                       {"# syntax=docker/dockerfile:1-labs\nFROM lain/bare:1 AS release\n", 1, "this names another one"},
		"a look-alike":               {"#syntax = docker/dockerfiles:1\nFROM lain/bare:1 AS release\n", 1, "this names another one"},
		"another comment":            {"// syntax=evil/x\nFROM lain/bare:1 AS release\n", 1, "this names another one"},
		"a missing base":             {"\n\nFROM nobody/has:1 AS release\n", 3, "it is not there"},
		"a missing source":           {"FROM lain/bare:1 AS release\nCOPY --from=nobody/has:1 /a /b\n", 2, "it is not there"},
		"a missing mount":            {"FROM lain/bare:1 AS release\nRUN --mount=type=bind,from=nobody/has:1,target=/m x\n", 0, "it is not there"},
		"another platform":           {"FROM --platform=linux/arm64 lain/bare:1 AS release\n", 1, "is wanted for linux/arm64"},
		"no stage":                   {"FROM lain/bare:1 AS relese\n", 0, `target stage "release" could not be found (did you mean relese?)`},
		"no Dockerfile":              {"FRM lain/bare:1 AS release\n", 1, "unknown instruction: FRM (did you mean FROM?)"},
		"empty":                      {"", 0, "cannot be empty"},
		"an address":                 {"FROM lain/bare:1 AS release\nADD http://127.0.0.1:5000/v2/ /x\n", 2, "files of the commit only"},
		"an address, through a word": {"FROM lain/bare:1 AS release\nARG U=https://example.com/x\nADD $U /x\n", 3, "files of the commit only"},
		"a repository":               {"FROM lain/bare:1 AS release\nADD git@example.com:a/b.git /x\n", 2, "files of the commit only"},
		"the host's network":         {"FROM lain/bare:1 AS release\nRUN --network=host x\n", 2, "--network=host is not granted"},
		"more rights":                {"FROM lain/bare:1 AS release\n\nRUN --security=insecure x\n", 3, "--security=insecure is not granted"},
		"an agent":                   {"FROM lain/bare:1 AS release\nRUN --mount=type=ssh x\n", 2, "no SSH agent"},
		"a secret nobody named":      {"FROM lain/bare:1 AS release\nRUN --mount=type=secret,id=token,required=true x\n", 2, `needs the secret "token"`},
		"a secret as a variable":     {"FROM lain/bare:1 AS release\nRUN --mount=type=secret,id=token,env=T,required=true x\n", 2, `needs the secret "token"`},
		"another stage's":            {"FROM lain/bare:1 AS a\nRUN --network=host x\nFROM lain/bare:1 AS release\nCOPY --from=a /x /x\n", 2, "is not granted"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := full().FromDockerfile(t.Context(), dockerfile(c.text), shelf)
			var f *fault.Fault
			if !errors.As(err, &f) || !strings.Contains(f.Sentence, c.says) || f.Line != c.line || f.File != "docker/Dockerfile" || f.Kind == fault.Internal {
				t.Errorf("got %#v", err)
			}
		})
	}
}

// A stage that is not wanted is not looked at, and the built-in frontend may be named.
func TestDockerfile_takes(t *testing.T) {
	for _, text := range []string{
		"FROM nobody/has:1 AS other\nRUN --network=host x\nFROM lain/bare:1 AS release\n",
		"# syntax=docker.io/docker/dockerfile:1.7.0\nFROM lain/bare:1 AS release\nRUN --network=none x\n",
		"FROM scratch AS release\nCOPY --link --chmod=755 <<E /\ny\nE\n",
		"FROM --platform=$BUILDPLATFORM lain/bare:1 AS release\nRUN <<E\nx\nE\n",
	} {
		if _, err := full().FromDockerfile(t.Context(), dockerfile(text), shelf); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	g, secret := full(), "FROM lain/bare:1 AS release\nRUN --mount=type=secret,id=token,required=true x\nRUN --mount=type=secret,id=other y\n"
	g.Secrets = map[string]string{"token": "v1"}
	if _, err := g.FromDockerfile(t.Context(), dockerfile(secret), shelf); err != nil {
		t.Errorf("a secret that is named: %v", err)
	}
	d := dockerfile("FROM lain/bare:1 AS release\n")
	d.Args = []string{"BUILDKIT_SYNTAX=example.com/frontend"}
	if _, err := full().FromDockerfile(t.Context(), d, shelf); err == nil {
		t.Error("a build argument chose a frontend")
	}
}

// Whatever a Dockerfile says, it is converted or refused, and nothing but the commit and the shelf is a source.
func FuzzDockerfile(f *testing.F) {
	f.Add(twoStages)
	f.Add("FROM lain/bare:1 AS release\nADD https://example.com/x /\n")
	f.Add("# syntax=x\nFROM a")
	f.Fuzz(func(t *testing.T, text string) {
		d := dockerfile(text)
		d.Target = ""
		_, _ = full().FromDockerfile(t.Context(), d, shelf)
	})
}
