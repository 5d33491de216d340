package api

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/state"
)

// theApp reads the application the verb names.
func (c *call) theApp() (lain.App, error) {
	item, err := c.API.apps.Get(c, string(c.app))
	if errors.Is(err, state.ErrNotFound) {
		return lain.App{}, fault.New(fault.NotFound, "there is no application %s here", c.app).
			WithHint("See: apps")
	}
	return item.Value, err
}

// allApps reads every application.
func (c *call) allApps() ([]lain.App, error) {
	items, _, err := c.API.apps.List(c, "")
	all := make([]lain.App, 0, len(items))
	for _, i := range items {
		all = append(all, i.Value)
	}
	return all, err
}

func apps(c *call) error {
	all, err := c.allApps()
	if err != nil {
		return err
	}
	return c.answer(all, func(w io.Writer) {
		if len(all) == 0 {
			fmt.Fprintln(w, "No applications yet. The first push makes one: git push lain main")
			return
		}
		rows(w, "APP SERVES BRANCH RUNS CREATED BY", func(row func(...any)) {
			for _, a := range all {
				row(a.Name, version(a.Serving), dash(a.DeployBranch), a.LastRun, age(c.Now(), a.Created), a.By)
			}
		})
	})
}

func version(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("v%d", n)
}

func appsCreate(c *call) error {
	format, _ := c.flags.GetString("object-format")
	if format != "sha1" && format != "sha256" {
		return wrongArgument(c, "object format %q is neither sha1 nor sha256", report.Line(format, 40))
	}
	if err := c.Apps.Create(c, c.app, format, c.session.Person); err != nil {
		return err
	}
	return c.answer(made{c.app, format}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is made. Next: git remote add lain lain:%s && git push lain main\n", c.app, c.app)
	})
}

// appInfo is the answer of info.
type appInfo struct {
	lain.App
	URLs    []string      `json:"urls"`
	Release *lain.Release `json:"release,omitempty"`

	Crashing map[lain.ProcName]*lain.Crashing `json:"crashing,omitempty"`
}

func info(c *call) error {
	app, err := c.theApp()
	if err != nil {
		return err
	}
	out := appInfo{App: app, URLs: []string{}}
	if app.Serving > 0 {
		r, err := c.API.releases.Get(c, lain.NumberKey(app.Name, app.Serving))
		if err != nil {
			return err
		}
		out.Release = &r.Value
		for _, route := range r.Value.Routes {
			out.URLs = append(out.URLs, c.URL(route))
		}
	}
	procs, err := c.procsSeen()
	if err != nil {
		return err
	}
	out.Crashing = crashes(procs)
	return c.answer(out, func(w io.Writer) {
		writeInfo(w, out)
		for _, p := range slices.Sorted(maps.Keys(out.Crashing)) {
			fmt.Fprintln(w, crashLine(app.Name, p, *out.Crashing[p], c.Now()))
		}
	})
}

func writeInfo(w io.Writer, a appInfo) {
	fmt.Fprintf(w, "app:     %s\nbranch:  %s\nserves:  %s", a.Name, dash(a.DeployBranch), version(a.Serving))
	if r := a.Release; r != nil && r.Why == lain.WhyReturn {
		fmt.Fprintf(w, " (%s)", origin(*r))
	}
	fmt.Fprintln(w)
	if r := a.Release; r != nil {
		fmt.Fprintf(w, "commit:  %s\nimage:   %s\nby:      %s, %s\n", r.Commit, r.Image, r.By, stamp(r.Created))
		for _, p := range r.Procs {
			fmt.Fprintf(w, "proc:    %s (%s), %d x %d MiB", p.Name, p.Type, p.Instances, p.MemoryBytes>>20)
			if p.Port > 0 {
				fmt.Fprintf(w, ", port %d", p.Port)
			}
			fmt.Fprintln(w)
		}
		for _, line := range changes.Scaled(*r) {
			fmt.Fprintf(w, "         %s\n", line)
		}
	}
	for _, u := range a.URLs {
		fmt.Fprintf(w, "url:     %s\n", u)
	}
	fmt.Fprintf(w, "remote:  git remote add lain lain:%s\n", a.Name)
}

func releases(c *call) error {
	app, err := c.theApp()
	if err != nil {
		return err
	}
	n, _ := c.flags.GetInt("number")
	all, err := newest(c, c.API.releases, app.Name, app.LastRelease, n)
	if err != nil {
		return err
	}
	return c.answer(all, func(w io.Writer) {
		rows(w, "RELEASE STATUS COMMIT WHEN BY RUN WHY REASON", func(row func(...any)) {
			for _, r := range all {
				row(r.Version(), r.Status, r.Commit.Short(), age(c.Now(), r.Created), r.By, fmt.Sprintf("r-%d", r.Run), origin(r), dash(remark(r)))
			}
		})
	})
}

// origin is why a release was made, and of which one.
func origin(r lain.Release) string {
	if r.Why == lain.WhyRollback || r.Why == lain.WhyReturn {
		return fmt.Sprintf("%s to v%d", r.Why, r.From)
	}
	return string(r.Why)
}

// remark is what a person has to know of a release: that it is banned, or why it failed.
func remark(r lain.Release) string {
	if r.Ban != nil {
		return fmt.Sprintf("banned by %s: %s", r.Ban.By, r.Ban.Reason)
	}
	return r.Reason
}

// newest reads the records of an application from number last downwards, at most n.
func newest[T any](c *call, k state.Kind[T], app lain.AppName, last, n int) ([]T, error) {
	all := []T{}
	for i := last; i > 0 && len(all) < n; i-- {
		item, err := k.Get(c, lain.NumberKey(app, i))
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, item.Value)
	}
	return all, nil
}

func destroy(c *call) error {
	if _, err := c.theApp(); err != nil {
		return err
	}
	if confirm, _ := c.flags.GetString("confirm"); confirm != string(c.app) {
		return fault.New(fault.Invalid, "destroy removes %s with its repository, releases and logs, for good", c.app).
			WithHint("If you mean it: destroy %s --confirm %s", c.app, c.app)
	}
	if err := c.Apps.Destroy(c, c.app, func(step string) { c.say("-----> %s", step) }); err != nil {
		return err
	}
	return c.answer(destroyed{c.app}, func(w io.Writer) { fmt.Fprintf(w, "%s is gone.\n", c.app) })
}
