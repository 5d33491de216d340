package builder

import (
	"context"
	"errors"
	"strings"

	buildkit "github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// backend is a BuildKit and the place where the images are that it begins from and makes. Which one it is decides the
// options of the Builder; nothing is found out by trying.
type backend interface {
	// String is what a person calls it.
	String() string

	// dial connects. The caller closes the client.
	dial(context.Context) (*buildkit.Client, error)

	// begin is the name by which graphs of a job begin from an image of the engine. It means this content until the
	// job is closed, whatever becomes of the image's other names.
	begin(ctx context.Context, j *Job, from engine.ImageConfig) (ref string, err error)

	// whole is the whole name of a prepare or build image, and has whether a prepare image is there.
	whole(name string) string
	has(ctx context.Context, name string) (bool, error)

	// ask adds to a solve where its image goes (out; nil: nowhere) and which caches it uses.
	ask(ctx context.Context, j *Job, opt *buildkit.SolveOpt, out *export) error

	// pushed is the digest by which the registry knows a release image that was made. It sends it there if need be.
	pushed(ctx context.Context, j *Job, name string) (digest string, err error)

	// fetch brings an image that was made under its whole name into the engine, by a name of ours.
	fetch(ctx context.Context, j *Job, whole, name string) error

	// kept are the images in the registry that stay beside those that releases name.
	kept(ctx context.Context, keep Keep) (map[lain.ImageRef]bool, error)
}

// backend is the one that the options name.
func (o Options) backend() backend {
	if o.BuildKit.Addr != "" {
		return buildkitd{o}
	}
	return embedded{o}
}

// embedded is the BuildKit in the Docker Engine. It begins from the engine's images and leaves there what it makes.
type embedded struct{ options Options }

func (embedded) String() string { return "the engine" }

func (e embedded) dial(ctx context.Context) (*buildkit.Client, error) {
	return e.options.Engine.BuildKit(ctx)
}

func (e embedded) begin(ctx context.Context, j *Job, from engine.ImageConfig) (string, error) {
	pin := pins(e.options) + strings.TrimPrefix(from.ID, "sha256:")
	return pin, j.hold(pin, func() error { return e.options.Engine.Tag(ctx, from.ID, pin) })
}

func (embedded) whole(name string) string { return dockerHub + name }

func (e embedded) has(ctx context.Context, name string) (bool, error) {
	_, err := e.options.Engine.ImageConfig(ctx, name)
	if errors.Is(err, engine.ErrNoImage) {
		return false, nil
	}
	return err == nil, err
}

func (embedded) ask(_ context.Context, _ *Job, opt *buildkit.SolveOpt, out *export) error {
	if out != nil {
		opt.Exports = []buildkit.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": out.name}}}
	}
	return nil
}

func (e embedded) pushed(ctx context.Context, _ *Job, name string) (string, error) {
	return e.options.Engine.Push(ctx, name, e.options.RegistryAuth)
}

func (embedded) fetch(context.Context, *Job, string, string) error { return nil } // it is there

func (embedded) kept(context.Context, Keep) (map[lain.ImageRef]bool, error) { return nil, nil }

// imports are a solve's caches in the form in which a gateway wants them as well.
func imports(opt buildkit.SolveOpt) (entries []gateway.CacheOptionsEntry) {
	for _, c := range opt.CacheImports {
		entries = append(entries, gateway.CacheOptionsEntry{Type: c.Type, Attrs: c.Attrs})
	}
	return entries
}
