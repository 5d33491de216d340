// Package builder turns a commit into an image: prepare, build, test, release, push.
//
// A job is one commit with its lain.yaml. Its stages are solves of one graph (package llb) in the engine's
// own BuildKit or in a buildkitd (backend), which keeps what it has done: a stage that is asked for again, and a stage that another one
// builds on, costs next to nothing. What a job would build has a key that is known before anything runs.
//
// The builder keeps no records: what was built under which key is for the caller to remember. It never
// reads lain.yaml or git: the manifest and a tar stream of the files are handed to it.
package builder

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lain.internal/lain/builder/source"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain/report"
)

// Options make a Builder.
type Options struct {
	Engine       *engine.Engine
	RegistryHost string      // host:port that images are pushed to
	RegistryAuth engine.Auth // its credential, used for that host only
	BuildKit     BuildKit    // a buildkitd that builds; zero: the engine does
	WorkDir      string      // directory of the builder's own: the files of commits are unpacked there while they are built
	MaxBuilds    int         // stages that run at once; 0: 2
	TimeLimit    time.Duration
	Source       source.Options // bounds of a commit's files; its Time is ignored
	Logger       *slog.Logger
}

// Builder builds. It is safe for concurrent use.
type Builder struct {
	options Options
	backend backend
	slots   chan struct{}
	names   needed
	logger  *slog.Logger
}

// leftover begins the names of the directories below WorkDir.
const leftover = "context-"

// New makes WorkDir and removes what builds of a dead process left there. Only one Builder at a time may use
// a WorkDir. Zero options take their defaults: 2 builds at once, an hour for a stage.
func New(o Options) (*Builder, error) {
	if o.MaxBuilds <= 0 {
		o.MaxBuilds = 2
	}
	if o.TimeLimit <= 0 {
		o.TimeLimit = time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.BuildKit.Check(); err != nil {
		return nil, fmt.Errorf("builder: %w", err)
	}
	if err := sweep(o.WorkDir); err != nil {
		return nil, fmt.Errorf("builder: %w", err)
	}
	return &Builder{options: o, backend: o.backend(), slots: make(chan struct{}, o.MaxBuilds), logger: o.Logger.With("component", "builder")}, nil
}

func sweep(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), leftover) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// slot waits until fewer than MaxBuilds stages run, saying so if that takes time. The caller calls done.
func (b *Builder) slot(ctx context.Context, say func(report.Kind, string)) (done func(), err error) {
	done = func() { <-b.slots }
	select {
	case b.slots <- struct{}{}:
		return done, nil
	default:
	}
	say(report.Detail, fmt.Sprintf("Waiting for a build slot: %d builds are running.", cap(b.slots)))
	select {
	case b.slots <- struct{}{}:
		return done, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
