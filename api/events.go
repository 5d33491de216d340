package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/state"
)

// eventVerbs are about what happened to an application.
func eventVerbs() []verb {
	return []verb{
		{name: "events", args: "APP", summary: "what happened to its releases and instances, the newest last",
			detail: "The same again is one line with a number (x12), at the time of the last. Of instances the last 200 lines of 30 days are\n" +
				"kept, and nothing of what happened while the server was down.",
			example: "events hello -f", action: access.Read, run: events,
			flags: func(f *pflag.FlagSet) {
				f.BoolP("follow", "f", false, "go on as they come")
				f.IntP("number", "n", 50, "how many of the newest; 0: all")
				f.String("since", "", sinceUsage)
			}},
	}
}

// event is something that happened to an application.
type event struct {
	Time     time.Time     `json:"time"`  // the last one's
	First    time.Time     `json:"first"` // and the first one's of several like it
	Times    int           `json:"times"`
	What     string        `json:"what"` // began, serves, failed, returned; started, died, unwell, well
	Release  int           `json:"release"`
	Proc     lain.ProcName `json:"proc,omitempty"`     // of an instance
	Instance int           `json:"instance,omitempty"` // of an instance
	ExitCode *int          `json:"exit_code,omitempty"`
	OOM      bool          `json:"oom,omitempty"`
	Detail   string        `json:"detail,omitempty"`
}

func events(c *call) error {
	since, err := c.since()
	if err != nil {
		return err
	}
	n, _ := c.flags.GetInt("number")
	if follow, _ := c.flags.GetBool("follow"); follow {
		return c.followEvents(since, n)
	}
	all, err := c.happened(since)
	if err != nil {
		return err
	}
	all = lastOf(all, n)
	return c.answer(all, func(w io.Writer) {
		if len(all) == 0 {
			fmt.Fprintf(w, "Nothing happened to %s. See also: runs %s\n", c.app, c.app)
		}
		for _, e := range all {
			io.WriteString(w, eventLine(e))
		}
	})
}

// followEvents writes events and goes on until the person leaves or the server stops.
func (c *call) followEvents(since time.Time, n int) error {
	ctx, stop := c.watching()
	defer stop()
	err := c.tellNew(ctx, since, n)
	switch {
	case c.Err() != nil: // the person has left
		return nil
	case err != nil:
		return err
	}
	return context.Cause(ctx)
}

// tellNew writes the newest n events, and those that come until ctx ends; with --json an object a line.
func (c *call) tellNew(ctx context.Context, since time.Time, n int) error {
	app := string(c.app)
	told := map[string]bool{} // a line that is counted further is another one
	for range c.Store.Signal(ctx, lain.DiaryPrefix+app, lain.ReleasesPrefix+app+"/", lain.RunsPrefix+app+"/") {
		all, err := c.happened(since)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(all, func(e event) bool { return !isNew(told, e) })
		for _, e := range lastOf(fresh, n) {
			if err := c.tell(e); err != nil {
				return err
			}
		}
		n = 0
	}
	return nil
}

// isNew remembers an event, and says whether it was not yet.
func isNew(told map[string]bool, e event) bool {
	key, err := json.Marshal(e)
	fresh := err == nil && !told[string(key)]
	told[string(key)] = true
	return fresh
}

func (c *call) tell(e event) error {
	if c.json {
		return json.NewEncoder(c.session.Stdout).Encode(e)
	}
	_, err := io.WriteString(c.session.Stdout, eventLine(e))
	return err
}

// happened is all that is known of an application since a time, the newest last.
func (c *call) happened(since time.Time) ([]event, error) {
	if _, err := c.theApp(); err != nil {
		return nil, err
	}
	releases, _, err := c.API.releases.List(c, string(c.app)+"/")
	if err != nil {
		return nil, err
	}
	runs, _, err := c.API.runs.List(c, string(c.app)+"/")
	if err != nil {
		return nil, err
	}
	book, err := c.API.diaries.Get(c, string(c.app))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	all := []event{}
	for _, r := range releases {
		all = append(all, ofRelease(r.Value)...)
	}
	for _, r := range runs {
		all = append(all, ofRun(r.Value)...)
	}
	for _, l := range book.Value.Lines {
		all = append(all, ofInstance(l))
	}
	all = slices.DeleteFunc(all, func(e event) bool { return e.Time.Before(since) })
	slices.SortStableFunc(all, func(a, b event) int { return a.Time.Compare(b.Time) })
	return all, nil
}

func lastOf(all []event, n int) []event {
	if n > 0 {
		return all[max(0, len(all)-n):]
	}
	return all
}

// ofRelease is what a release's record tells: that it began, and that it failed. That it serves is in its run: the
// record is written anew when the next one does.
func ofRelease(r lain.Release) []event {
	began := event{Time: r.Created, First: r.Created, Times: 1, What: "began", Release: r.Number, Detail: fmt.Sprintf("%s by %s, r-%d", origin(r), r.By, r.Run)}
	if r.Why == lain.WhyReturn {
		began.What, began.Detail = "returned", fmt.Sprintf("to v%d, r-%d", r.From, r.Run)
	}
	if r.Status != lain.ReleaseFailed {
		return []event{began}
	}
	return []event{began, {Time: r.Ended, First: r.Ended, Times: 1, What: "failed", Release: r.Number, Detail: r.Reason}}
}

// ofRun is that the release of a run serves.
func ofRun(r lain.Run) []event {
	if r.State != lain.RunDone || r.Release == 0 {
		return nil
	}
	return []event{{Time: r.Ended, First: r.Ended, Times: 1, What: "serves", Release: r.Release, Detail: r.ID()}}
}

func ofInstance(l lain.DiaryLine) event {
	return event{Time: l.At, First: l.First, Times: l.Times, What: string(l.What), Release: l.Release, Proc: l.Proc, Instance: l.Instance,
		ExitCode: l.ExitCode, OOM: l.OOM, Detail: l.Reason}
}

// reason is the detail without the engine's words for an exit code, which is told apart.
func (e event) reason() string {
	if e.ExitCode == nil {
		return e.Detail
	}
	return strings.TrimPrefix(strings.TrimPrefix(e.Detail, fmt.Sprintf("task: non-zero exit (%d)", *e.ExitCode)), ": ")
}

// eventLine is an event in one line: time, subject, what, and why.
func eventLine(e event) string {
	of := version(e.Release)
	if e.Proc != "" {
		of = fmt.Sprintf("%s.%d of %s", e.Proc, e.Instance, version(e.Release))
	}
	var why []string
	if e.OOM {
		why = append(why, "out of memory")
	}
	if e.ExitCode != nil {
		why = append(why, fmt.Sprintf("exit code %d", *e.ExitCode))
	}
	if detail := e.reason(); detail != "" {
		why = append(why, detail)
	}
	line := fmt.Sprintf("%s  %s %s", stamp(e.Time), of, e.What)
	if len(why) > 0 {
		line += ": " + report.Line(strings.Join(why, ", "), 300)
	}
	if e.Times > 1 {
		line += fmt.Sprintf(" (x%d since %s)", e.Times, e.First.UTC().Format(time.TimeOnly))
	}
	return line + "\n"
}
