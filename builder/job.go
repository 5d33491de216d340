package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/builder/source"
	"lain.internal/lain/engine"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

// Request is a commit to build.
type Request struct {
	App        lain.AppName
	Run        int
	Commit     lain.Commit
	CommitTime time.Time // the images' time, so that one input gives one image
	Tree       string    // git tree of the commit
	Manifest   *manifest.Manifest
	Secrets    []Secret // those of Manifest.Build.Secrets

	// Context opens the tar stream of the commit's files, as `git archive` writes it. It is called at most
	// once at a time; the error of Close counts, so that an archive whose writer failed is not built.
	Context func(context.Context) (io.ReadCloser, error)
}

// Secret is a secret that scripts of the build see. It holds the value: never log it.
type Secret struct {
	Name    string // in lain.yaml
	Version string // stands for the value in keys
	Value   []byte
}

// String hides the value from logs.
func (s Secret) String() string { return s.Name + " as " + s.Version }

// GoString hides it from %#v too.
func (s Secret) GoString() string { return s.String() }

// Job is a commit being built. Its stages run one at a time, in any order: each brings about what it needs.
// A stage's error is a *fault.Fault where a person can do something about it, and the context's cause where
// that ended it. A stage may be repeated.
type Job struct {
	builder  *Builder
	request  Request
	reporter report.Reporter
	graph    llb.Graph
	base     engine.ImageConfig
	destBase engine.ImageConfig
	key      string
	prepare  string // name of the prepare image; "": no such section

	dockerfile llb.Dockerfile // where graph.Dockerfile is made of one

	bases []lain.BuildBase // in the order in which they were found

	mu   sync.Mutex
	dir  string                       // the files of the commit, once unpacked
	held []string                     // names of images that stay until Close
	made map[string]map[string]string // by name, what the exporter says of images that were made
}

// Open finds the base images, pulling those the engine lacks, and computes the keys. It unpacks the files of
// the commit only where there is a prepare section, whose key depends on some, or a Dockerfile, which names the
// base images. The caller closes the job.
func (b *Builder) Open(ctx context.Context, req Request, reporter report.Reporter) (*Job, error) {
	j := &Job{builder: b, request: req, reporter: reporter}
	if err := j.open(ctx); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *Job) open(ctx context.Context) error {
	m := j.request.Manifest
	j.graph = llb.Graph{Cluster: j.builder.options.Engine.Cluster(), App: j.request.App, Tree: j.request.Tree, Manifest: m, Secrets: j.secretVersions()}
	if err := j.findBases(ctx); err != nil {
		return err
	}
	j.key = j.graph.Key()
	if err := j.hold(j.releaseName(), nil); err != nil {
		return err
	}
	if m.Build.Prepare == nil {
		return nil
	}
	dir, err := j.files(ctx)
	if err != nil {
		return err
	}
	inputs, err := readInputs(dir, m.Build.Prepare.Inputs)
	if err != nil {
		return fmt.Errorf("read the prepare inputs: %w", err)
	}
	j.prepare = fmt.Sprintf("%s:prepare-%s", j.request.App, j.graph.PrepareKey(inputs))
	j.graph.Prepared = j.builder.backend.whole(j.prepare)
	return j.hold(j.prepare, nil)
}

// secretVersions are the versions of the build's secrets, by name; nil where there are none.
func (j *Job) secretVersions() map[string]string {
	var versions map[string]string
	for _, s := range j.request.Secrets {
		if versions == nil {
			versions = map[string]string{}
		}
		versions[s.Name] = s.Version
	}
	return versions
}

// hold keeps a name in the engine until Close; give, if not nil, gives it to an image first.
func (j *Job) hold(name string, give func() error) error {
	if give == nil {
		give = func() error { return nil }
	}
	if err := j.builder.names.hold(name, give); err != nil {
		return err
	}
	j.held = append(j.held, name)
	return nil
}

// Key names what the job builds by what it is built from: the tree, the base images by content, the
// sections of lain.yaml and the builder's version. Jobs with one key make equal release images.
func (j *Job) Key() string { return j.key }

// PrepareName is the name of the prepare image, or "" where there is no prepare section.
func (j *Job) PrepareName() string { return j.prepare }

// Bases are the images that the job begins from.
func (j *Job) Bases() []lain.BuildBase { return j.bases }

// NeedsPrepare reports whether there is a prepare section and its image is not there.
func (j *Job) NeedsPrepare(ctx context.Context) (bool, error) {
	if j.prepare == "" {
		return false, nil
	}
	there, err := j.builder.backend.has(ctx, j.prepare)
	return !there && err == nil, err
}

// Prepare makes the prepare image. Without a prepare section it does nothing.
func (j *Job) Prepare(ctx context.Context) error {
	if j.prepare == "" {
		return nil
	}
	return failpoint.Around("builder.prepare", func() error {
		config, err := j.prepareConfig()
		if err != nil {
			return err
		}
		return j.solve(ctx, "prepare", j.graph.Prepare(), &export{name: j.graph.Prepared, config: config})
	})
}

// Build runs the build scripts, on a prepare image made now if there is none.
func (j *Job) Build(ctx context.Context) error {
	if err := j.prepared(ctx); err != nil {
		return err
	}
	return failpoint.Around("builder.build", func() error {
		return j.solve(ctx, "build", j.graph.Build(), nil)
	})
}

// Test runs the test scripts on the build. They always run; without a test section there is nothing to do.
func (j *Job) Test(ctx context.Context) error {
	if j.request.Manifest.Test == nil {
		return nil
	}
	if err := j.prepared(ctx); err != nil {
		return err
	}
	return failpoint.Around("builder.test", func() error {
		return j.solve(ctx, "test", j.graph.Test(), nil)
	})
}

// Release makes the release image.
func (j *Job) Release(ctx context.Context) error {
	if err := j.prepared(ctx); err != nil {
		return err
	}
	return failpoint.Around("builder.release", func() error {
		config, err := j.releaseConfig()
		if err != nil {
			return err
		}
		return j.solve(ctx, "release", j.graph.Release(), &export{name: j.releaseName(), config: config})
	})
}

// Push has the release image, which was made, in the registry and returns it by the digest it has there.
func (j *Job) Push(ctx context.Context) (lain.ImageRef, error) {
	digest, err := j.builder.backend.pushed(ctx, j, j.releaseName())
	if err != nil {
		return lain.ImageRef{}, pushFault(ctx, err)
	}
	ref := lain.ImageRef{Repository: string(j.request.App), Digest: digest}
	return ref, ref.Validate()
}

// Close removes the unpacked files. The job is of no use afterwards; a second call is harmless.
func (j *Job) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.builder.names.letGo(j.held)
	j.held = nil
	if j.dir == "" {
		return nil
	}
	err := os.RemoveAll(j.dir)
	j.dir = ""
	return err
}

func (j *Job) prepared(ctx context.Context) error {
	missing, err := j.NeedsPrepare(ctx)
	if err != nil || !missing {
		return err
	}
	return j.Prepare(ctx)
}

// releaseName is where the release image is pushed to: LAIN's release-<committer time>-<commit>.
func (j *Job) releaseName() string {
	r := j.request
	return fmt.Sprintf("%s/%s:release-%d-%s", j.builder.options.RegistryHost, r.App, r.CommitTime.Unix(), r.Commit)
}

// files unpacks the files of the commit, once.
func (j *Job) files(ctx context.Context) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dir != "" {
		return j.dir, nil
	}
	dir, err := os.MkdirTemp(j.builder.options.WorkDir, fmt.Sprintf("%s%s-%d-", leftover, j.request.App, j.request.Run))
	if err != nil {
		return "", fmt.Errorf("room for the build: %w", err)
	}
	if err := j.unpack(ctx, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	j.dir = dir
	return dir, nil
}

func (j *Job) unpack(ctx context.Context, dir string) error {
	archive, err := j.request.Context(ctx)
	if err != nil {
		return fmt.Errorf("files of the commit: %w", err)
	}
	bounds := j.builder.options.Source
	bounds.Time = j.request.CommitTime
	err = source.Unpack(untilDone{ctx, archive}, dir, bounds)
	closed := archive.Close()
	if err == nil && closed != nil {
		err = fmt.Errorf("files of the commit: %w", closed)
	}
	return err
}

// untilDone is a reader that stops with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// say reports a line of our own.
func (j *Job) say(stage string, kind report.Kind, text string) {
	j.reporter.Report(report.Event{At: time.Now(), Kind: kind, Stage: stage, Text: text})
}
