package api

import (
	"context"
	"slices"

	"github.com/spf13/pflag"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// What --image may say.
const (
	releaseImage = "release"
	buildImage   = "build"
)

func runFlags(f *pflag.FlagSet) {
	f.StringP("proc", "p", "", "the proc that the container is like")
	f.String("memory", "", "another limit than the proc's, as 1g")
	f.String("image", releaseImage, "release, or build: what the release image was copied out of, with compilers and test tools")
}

// runOneOff runs a command in a container that is made for it.
func runOneOff(c *call) error {
	if err := c.notAsJSON(); err != nil {
		return err
	}
	like, image, err := c.oneOffLike()
	if err != nil {
		return err
	}
	task, end, err := c.oneOff(like, image)
	if err != nil {
		return err
	}
	defer end()
	return c.enter("the one-off container", task, engine.Entry{Argv: c.args[1:], Terminal: c.session.Terminal, Stdout: c.session.Raw})
}

// oneOff makes the container, and shows how. It ends with the connection, with the server, and with Ctrl-C.
func (c *call) oneOff(like lain.ProcWant, image imageMaker) (task string, end func(), err error) {
	watching, stop := c.watching()
	defer stop()
	ctx, interrupt := context.WithCancelCause(watching)
	defer interrupt(nil)
	if c.session.Terminal != nil {
		defer c.hearCtrlC(interrupt)()
	}
	out := c.progress()
	defer out.end(watching)
	task, end, err = c.OneOffs.OneOff(ctx, like, func(ctx context.Context) (string, error) { return image(ctx, out) })
	return task, end, notThere(c, ctx, err)
}

// hearCtrlC has a person at a terminal end what they wait for, until the answer is called. The command gets what else they
// type meanwhile.
func (c *call) hearCtrlC(interrupt context.CancelCauseFunc) (waited func()) {
	keys := c.typed(func() { interrupt(fault.New(fault.Cancelled, "it was stopped before the container was there")) })
	c.session.Stdin = keys
	return keys.waited
}

// notThere is why a container is not there: the person who left is told nothing of what that broke.
func notThere(person, ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case person.Err() != nil:
		return fault.Hide(fault.Cancelled, err, "the connection was lost before the container was there")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// imageMaker brings about the image of a one-off container and gives its id in the engine, "" for the proc's own.
type imageMaker func(context.Context, report.Reporter) (id string, err error)

// imageOf is what --image asks for.
func (c *call) imageOf(serving lain.Release) (imageMaker, error) {
	switch word, _ := c.flags.GetString("image"); word {
	case releaseImage:
		return func(context.Context, report.Reporter) (string, error) { return "", nil }, nil
	case buildImage:
		return func(ctx context.Context, out report.Reporter) (string, error) {
			return c.Builds.BuildImage(ctx, serving, out)
		}, nil
	default:
		return nil, wrongArgument(c, "--image %q is no image of a release: say release or build", report.Line(word, 40))
	}
}

// saying has a person at a terminal told that all is there but the container.
func (c *call) saying(like lain.ProcWant, image imageMaker) imageMaker {
	if c.session.Terminal == nil {
		return image
	}
	return func(ctx context.Context, out report.Reporter) (string, error) {
		id, err := image(ctx, out)
		if err == nil {
			out.Report(report.Event{Kind: report.Stage, Text: "Starting a container like " + string(like.Spec.Name) + " of " + version(like.Release)})
		}
		return id, err
	}
}

// oneOffLike is the wish of the proc that a one-off container is like, in the release that serves, and what makes its image.
func (c *call) oneOffLike() (like lain.ProcWant, image imageMaker, err error) {
	serving, err := c.servingRelease()
	if err != nil {
		return like, nil, err
	}
	size, err := c.oneOffSize()
	if err != nil {
		return like, nil, err
	}
	if image, err = c.imageOf(serving); err != nil {
		return like, nil, err
	}
	proc, err := c.oneOffProc(serving)
	if size.MemoryBytes > 0 {
		proc.MemoryBytes = size.MemoryBytes
	}
	like = lain.ProcWant{App: c.app, Release: serving.Number, Commit: serving.Commit, Spec: proc}
	return like, c.saying(like, image), err
}

func (c *call) servingRelease() (lain.Release, error) {
	app, err := c.theApp()
	if err != nil {
		return lain.Release{}, err
	}
	if app.Serving == 0 {
		return lain.Release{}, fault.New(fault.NotFound, "%s has no release yet", c.app).WithHint("The first push makes one: git push lain main")
	}
	return c.release(app.Serving)
}

// oneOffSize is what --memory says.
func (c *call) oneOffSize() (lain.Size, error) {
	size, err := c.sizeFlags()
	if n := size.MemoryBytes; err == nil && n != 0 && n < lain.LeastMemory {
		err = wrongArgument(c, "--memory: %d bytes is too little, a container needs at least %d MiB", n, lain.LeastMemory>>20)
	}
	return size, err
}

// oneOffProc is the proc that --proc names; without it web, or the first.
func (c *call) oneOffProc(r lain.Release) (lain.ProcSpec, error) {
	name, _, err := c.whose()
	if err != nil {
		return lain.ProcSpec{}, err
	}
	wanted := name
	if wanted == "" {
		wanted = "web"
	}
	at := slices.IndexFunc(r.Procs, func(p lain.ProcSpec) bool { return p.Name == wanted })
	switch {
	case at >= 0:
		return r.Procs[at], nil
	case name == "" && len(r.Procs) > 0:
		return r.Procs[0], nil
	case name == "":
		return lain.ProcSpec{}, fault.New(fault.NotFound, "%s of %s has no procs", version(r.Number), c.app)
	}
	return lain.ProcSpec{}, fault.New(fault.NotFound, "%s of %s has no proc %s", version(r.Number), c.app, name).WithHint("See: scale %s", c.app)
}
