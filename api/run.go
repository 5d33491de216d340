package api

import (
	"io"
	"slices"

	"github.com/spf13/pflag"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

func runFlags(f *pflag.FlagSet) {
	f.StringP("proc", "p", "", "the proc that the container is like")
	f.String("memory", "", "another limit than the proc's, as 1g")
}

// runOneOff runs a command in a container that is made for it.
func runOneOff(c *call) error {
	if err := c.notAsJSON(); err != nil {
		return err
	}
	like, err := c.oneOffLike()
	if err != nil {
		return err
	}
	if c.session.Terminal != nil {
		_, _ = io.WriteString(c.session.Stderr, report.Draw(report.Event{Kind: report.Stage,
			Text: "Starting a container like " + string(like.Spec.Name) + " of " + version(like.Release)}))
	}
	ctx, stop := c.watching()
	defer stop()
	task, end, err := c.OneOffs.OneOff(ctx, like)
	if err != nil && c.Err() != nil {
		return fault.Hide(fault.Cancelled, err, "the connection was lost before the container was there")
	}
	if err != nil {
		return err
	}
	defer end()
	return c.enter("the one-off container", task, engine.Entry{Argv: c.args[1:], Terminal: c.session.Terminal, Stdout: c.session.Raw})
}

// oneOffLike is the wish of the proc that a one-off container is like, in the release that serves.
func (c *call) oneOffLike() (lain.ProcWant, error) {
	app, err := c.theApp()
	if err != nil {
		return lain.ProcWant{}, err
	}
	if app.Serving == 0 {
		return lain.ProcWant{}, fault.New(fault.NotFound, "%s has no release yet", c.app).WithHint("The first push makes one: git push lain main")
	}
	size, err := c.sizeFlags()
	if err != nil {
		return lain.ProcWant{}, err
	}
	if n := size.MemoryBytes; n != 0 && n < lain.LeastMemory {
		return lain.ProcWant{}, wrongArgument(c, "--memory: %d bytes is too little, a container needs at least %d MiB", n, lain.LeastMemory>>20)
	}
	serving, err := c.release(app.Serving)
	if err != nil {
		return lain.ProcWant{}, err
	}
	proc, err := c.oneOffProc(serving)
	if size.MemoryBytes > 0 {
		proc.MemoryBytes = size.MemoryBytes
	}
	return lain.ProcWant{App: c.app, Release: serving.Number, Commit: serving.Commit, Spec: proc}, err
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
