package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/moby/patternmatcher/ignorefile"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/lain/fault"
)

// maxDockerfile bounds a Dockerfile and what it ignores, in bytes.
const maxDockerfile = 1 << 20

// fromDockerfile makes the graph of the commit's Dockerfile, with the images that it names found and pinned.
func (j *Job) fromDockerfile(ctx context.Context) error {
	dir, err := j.files(ctx)
	if err != nil {
		return err
	}
	d, err := j.readDockerfile(dir)
	if err != nil {
		return err
	}
	j.dockerfile = d
	j.graph.Dockerfile, err = j.graph.FromDockerfile(ctx, d, j.resolver())
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// readDockerfile reads what the commit says of its image.
func (j *Job) readDockerfile(dir string) (llb.Dockerfile, error) {
	b := j.request.Manifest.Build
	d := llb.Dockerfile{Path: b.Dockerfile, Target: b.Target, Args: b.Args, Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return d, err
	}
	defer root.Close()
	d.Text, err = readBounded(root, b.Dockerfile)
	if errors.Is(err, fs.ErrNotExist) {
		return d, j.request.Manifest.At(b.DockerfileLine, fault.Hide(fault.Invalid, err, "build.dockerfile names %s, which is not in the commit", oneLine(b.Dockerfile, 100)).
			WithHint("Is it in git? git add %s", oneLine(b.Dockerfile, 100)))
	}
	if err != nil {
		return d, j.request.Manifest.At(b.DockerfileLine, fault.Hide(fault.Invalid, err, "build.dockerfile names %s, which cannot be read: %s", oneLine(b.Dockerfile, 100), reasonOf(err)))
	}
	d.Ignore, err = ignored(root, b.Dockerfile)
	return d, err
}

// ignored are the patterns of files that a Dockerfile does not see: those of its own list, else those of .dockerignore.
func ignored(root *os.Root, dockerfile string) ([]string, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		text, err := readBounded(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var patterns []string
		if err == nil {
			patterns, err = ignorefile.ReadAll(bytes.NewReader(text))
		}
		if err != nil {
			return nil, fault.Hide(fault.Invalid, err, "it cannot be read: %s", reasonOf(err)).At(name, 0, 0, "")
		}
		return patterns, nil
	}
	return nil, nil
}

// readBounded reads a file of the commit; a link is followed only inside it.
func readBounded(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDockerfile+1))
	if err == nil && len(data) > maxDockerfile {
		err = fmt.Errorf("it is larger than %d bytes", maxDockerfile)
	}
	return data, err
}

// reasonOf is an error without the path it begins with.
func reasonOf(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return oneLine(err.Error(), 100)
}

// resolver finds the images that a Dockerfile names as it finds a base: the engine's own, or pulled.
func (j *Job) resolver() llb.Resolve {
	var one sync.Mutex
	plain := func(f *fault.Fault) error { return f } // the line of the Dockerfile is put in by whoever asks
	return func(ctx context.Context, name string) (llb.BaseImage, error) {
		one.Lock()
		defer one.Unlock()
		image, config, err := j.findBase(ctx, "the Dockerfile", strings.TrimPrefix(name, dockerHub), plain)
		return llb.BaseImage{Image: image, Platform: ocispec.Platform{OS: config.OS, Architecture: config.Architecture},
			Config: config.OCI, OnBuild: config.OnBuild, Shell: config.Shell, Layers: config.Layers}, err
	}
}
