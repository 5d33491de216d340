package api

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/state"
)

// whence is the answer of why: where what runs in an instance comes from.
type whence struct {
	Instance string        `json:"instance"` // web.1
	State    string        `json:"state"`
	Since    time.Time     `json:"since"`
	Release  int           `json:"release"` // that it was started for
	Serving  int           `json:"serving"` // that serves, and has the instance unchanged where it is another one
	Why      lain.Why      `json:"why"`
	From     int           `json:"from,omitempty"` // the release that Release was made of; 0: a push
	By       lain.Person   `json:"by"`
	Created  time.Time     `json:"created"`
	Run      string        `json:"run"` // that made the release: r-42
	Commit   commit        `json:"commit"`
	Tree     string        `json:"tree"`
	Image    lain.ImageRef `json:"image"`
	Build    *builtImage   `json:"build,omitempty"` // nil: of an image that was not built here, or whose record is gone

	Secrets []lain.SecretMount `json:"secrets"`          // names and versions, no values
	Config  int                `json:"config,omitempty"` // version of the config values; 0: it has none
}

// builtImage is how an image came to be.
type builtImage struct {
	Run     string           `json:"run"` // that built it: r-40
	Created time.Time        `json:"created"`
	Commit  lain.Commit      `json:"commit"` // that it was built for first; another one with the same tree may run it
	Test    string           `json:"test"`   // "passed in 3s", or why there was none
	Bases   []lain.BuildBase `json:"bases"`
	Key     string           `json:"key"` // of all that it was built from
}

// why says of a running instance where it comes from.
func why(c *call) error {
	app, err := c.theApp()
	if err != nil {
		return err
	}
	proc, number, err := c.instance(c.args[1])
	if err != nil {
		return err
	}
	in, err := c.running(proc, number)
	if err != nil {
		return err
	}
	o, err := c.whence(proc, in)
	if err != nil {
		return err
	}
	o.Serving = app.Serving
	return c.answer(o, func(w io.Writer) { writeWhence(w, c.app, o, c.Now()) })
}

// running finds an instance among those that were seen last.
func (c *call) running(proc lain.ProcName, number int) (lain.InstanceSeen, error) {
	seen, err := c.procsSeen()
	if err != nil {
		return lain.InstanceSeen{}, err
	}
	for _, p := range seen {
		at := slices.IndexFunc(p.Instances, func(i lain.InstanceSeen) bool { return i.Number == number })
		if p.Proc == proc && at >= 0 {
			return p.Instances[at], nil
		}
	}
	return lain.InstanceSeen{}, fault.New(fault.NotFound, "%s has no instance %s.%d", c.app, proc, number).WithHint("See: ps %s", c.app)
}

func (c *call) whence(proc lain.ProcName, in lain.InstanceSeen) (whence, error) {
	r, err := c.release(in.Release)
	if err != nil {
		return whence{}, err
	}
	spec, ok := r.Proc(proc)
	if !ok {
		return whence{}, fault.New(fault.NotFound, "%s of %s has no proc %s any more", r.Version(), c.app, proc)
	}
	o := whence{Instance: fmt.Sprintf("%s.%d", proc, in.Number), State: in.State, Since: in.Since, Release: r.Number, Why: r.Why, From: r.From, By: r.By, Created: r.Created,
		Run: runID(r.Run), Commit: commit{ID: r.Commit}, Tree: r.Tree, Image: spec.Image, Secrets: append([]lain.SecretMount{}, spec.Secrets...)}
	if spec.Config != nil {
		o.Config = spec.Config.Version
	}
	if o.Build, err = c.builtAs(spec.Image); err != nil {
		return o, err
	}
	repository, err := c.Repos.Open(c, c.app)
	if err != nil {
		return o, err
	}
	info, err := repository.Commit(c, string(r.Commit))
	o.Commit.Author, o.Commit.Subject = info.Author, info.Subject
	return o, err
}

// builtAs finds the build that made an image.
func (c *call) builtAs(image lain.ImageRef) (*builtImage, error) {
	builds, _, err := c.API.builds.List(c, string(c.app)+"/")
	if err != nil {
		return nil, err
	}
	for _, item := range builds {
		if b := item.Value; b.Image == image {
			test, err := c.testOf(b)
			return &builtImage{Run: runID(b.BuiltBy), Created: b.Created, Commit: b.Commit, Test: test, Bases: append([]lain.BuildBase{}, b.Bases...), Key: b.Key}, err
		}
	}
	return nil, nil
}

// testOf is how the tests of a build went, from the record of its run while that is kept.
func (c *call) testOf(b lain.Build) (string, error) {
	item, err := c.API.runs.Get(c, lain.NumberKey(c.app, b.BuiltBy))
	if errors.Is(err, state.ErrNotFound) {
		return "passed, if there were any", nil
	}
	if err != nil {
		return "", err
	}
	for _, s := range item.Value.Stages {
		if s.Name != lain.TestStage {
			continue
		}
		if s.Skipped != "" {
			return "none: " + s.Skipped, nil
		}
		return "passed in " + s.Ended.Sub(s.Started).Round(100*time.Millisecond).String(), nil
	}
	return "none", nil
}

func runID(n int) string { return lain.Run{Number: n}.ID() }

func writeWhence(w io.Writer, app lain.AppName, o whence, now time.Time) {
	line := func(head, format string, args ...any) {
		fmt.Fprintf(w, "%-9s "+format+"\n", append([]any{head + ":"}, args...)...)
	}
	line("instance", "%s of %s, %s for %s", o.Instance, app, o.State, age(now, o.Since))
	line("release", "%s, %s, by %s, %s, %s", version(o.Release), origin(lain.Release{Why: o.Why, From: o.From}), o.By, stamp(o.Created), o.Run)
	if o.Serving != o.Release {
		line("", "%s serves, and has it unchanged unless it is on its way out", version(o.Serving))
	}
	line("commit", "%s %s", o.Commit.ID, report.Line(o.Commit.Subject, 60))
	line("", "by %s", report.Line(o.Commit.Author, 80))
	line("image", "%s", o.Image)
	writeBuilt(line, o)
	for _, s := range o.Secrets {
		line("secret", "%s, version %d", s.Path, s.Version)
	}
	if o.Config > 0 {
		line("config", "version %d", o.Config)
	}
}

func writeBuilt(line func(head, format string, args ...any), o whence) {
	b := o.Build
	if b == nil {
		line("built", "not here, or so long ago that the record is gone")
		return
	}
	line("built", "by %s, %s, from tree %s", b.Run, stamp(b.Created), o.Tree)
	if b.Commit != o.Commit.ID {
		line("", "for %s, which has the same files", b.Commit)
	}
	line("tests", "%s", b.Test)
	for _, base := range b.Bases {
		line("base", "%s, %s", base.Name, base.ID)
	}
}
