package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// activityVerbs are about what people did.
func activityVerbs() []verb {
	return []verb{
		{name: "activity", args: "[APP]", summary: "who did what, the newest first: pushes, verbs that change something, values that were shown",
			detail:  "A verb that is under way, or whose server died meanwhile, is \"begun\". Wrong words are \"invalid\" and not repeated.",
			example: "activity hello -n 50 --since 24h", action: access.Read, run: activity,
			flags: func(f *pflag.FlagSet) {
				f.IntP("number", "n", 20, "how many; 0: all")
				f.String("since", "", sinceUsage)
			}},
	}
}

// push is the verb that a run without a change stands for.
const push = "push"

func activity(c *call) error {
	since, err := c.since()
	if err != nil {
		return err
	}
	apps, missing := c.appOrAll()
	if missing != nil && fault.Of(missing).Kind != fault.NotFound {
		return missing
	}
	n, _ := c.flags.GetInt("number")
	all, err := c.trailOf(apps, since, n)
	if err != nil {
		return err
	}
	if len(all) == 0 && missing != nil { // one that is gone has still its trail
		return missing
	}
	return c.answer(all, func(w io.Writer) { writeActivity(w, all) })
}

// appOrAll is the application that was named, or all of them.
func (c *call) appOrAll() ([]lain.App, error) {
	if c.app == "" {
		return c.allApps()
	}
	app, err := c.theApp()
	if err != nil {
		return nil, err
	}
	return []lain.App{app}, nil
}

func writeActivity(w io.Writer, all []entry) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nothing was done. See also: runs APP")
		return
	}
	rows(w, "TIME PERSON VERB APP OUTCOME WHAT", func(row func(...any)) {
		for _, e := range all {
			what := strings.Trim(e.What+": "+e.Reason, ": ")
			row(stamp(e.At), e.Person, e.Verb, dash(string(e.App)), e.Outcome, dash(what))
		}
	})
}

// trailOf is what was done since a time, the newest first, at most n.
func (c *call) trailOf(apps []lain.App, since time.Time, n int) ([]entry, error) {
	items, _, err := c.API.trail.List(c, "")
	if err != nil {
		return nil, err
	}
	all := []entry{}
	for _, i := range items {
		if e := i.Value; (c.app == "" || e.App == c.app) && !e.At.Before(since) {
			all = append(all, e)
		}
	}
	all = newestOf(all, n)
	for _, app := range apps {
		if all, err = c.withPushes(all, app, since, n); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// newestOf sorts by time, the newest first, and cuts after n; 0: never.
func newestOf(all []entry, n int) []entry {
	slices.SortStableFunc(all, func(a, b entry) int { return b.At.Compare(a.At) })
	if n > 0 {
		all = all[:min(n, len(all))]
	}
	return all
}

// withPushes adds the pushes of an application. It reads no more runs than may be among the newest n.
func (c *call) withPushes(all []entry, app lain.App, since time.Time, n int) ([]entry, error) {
	if n > 0 && len(all) == n && all[n-1].At.After(since) {
		since = all[n-1].At
	}
	pushes := 0
	for i := app.LastRun; i > 0 && (n == 0 || pushes < n); i-- {
		run, err := c.API.runs.Get(c, lain.NumberKey(app.Name, i))
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if run.Value.Created.Before(since) {
			break
		}
		if run.Value.Change == nil {
			all = append(all, pushed(run.Value))
			pushes++
		}
	}
	return newestOf(all, n), nil
}

// pushed is the line of a push, which its run stands for.
func pushed(r lain.Run) entry {
	e := entry{At: r.Created, Person: r.By, Verb: push, App: r.App, Reason: r.Reason, Ended: r.Ended,
		What: fmt.Sprintf("%s, %s", r.ID(), r.Commit.Short()), Outcome: string(r.State)}
	if !r.State.Ended() {
		e.Outcome = begun
	}
	return e
}

// How much of the trail is kept, and how often it is cut.
const (
	keepTrail     = 10_000
	keepTrailFor  = 400 * 24 * time.Hour
	trimTrail     = 6 * time.Hour
	trimTrailTime = time.Minute
)

// KeepTrail forgets the oldest of what was done, now and every six hours, until ctx ends.
func (a *API) KeepTrail(ctx context.Context) error {
	tick := time.NewTicker(trimTrail)
	defer tick.Stop()
	for {
		if err := a.trim(ctx, keepTrail); err != nil && ctx.Err() == nil {
			a.Logger.Warn("the trail of what people did is not cut this time", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// trim deletes all lines but the newest most, and those that are too old. Keys sort as times do.
func (a *API) trim(ctx context.Context, most int) error {
	ctx, cancel := context.WithTimeout(ctx, trimTrailTime)
	defer cancel()
	items, _, err := a.trail.List(ctx, "")
	if err != nil {
		return err
	}
	for i, item := range items {
		if len(items)-i <= most && a.Now().Sub(item.Value.At) <= keepTrailFor {
			break
		}
		if _, err := a.trail.Delete(ctx, item.Key); err != nil {
			return err
		}
	}
	return nil
}
