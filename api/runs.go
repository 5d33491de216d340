package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

func runs(c *call) error {
	app, err := c.theApp()
	if err != nil {
		return err
	}
	n, _ := c.flags.GetInt("number")
	all, err := newest(c, c.API.runs, app.Name, app.LastRun, n)
	if err != nil {
		return err
	}
	return c.answer(all, func(w io.Writer) {
		rows(w, "RUN STATE STAGE COMMIT WHEN TOOK BY REASON", func(row func(...any)) {
			for _, r := range all {
				took := "-"
				if !r.Ended.IsZero() {
					took = age(r.Ended, r.Created)
				}
				row(r.ID(), r.State, dash(r.Stage), r.Commit.Short(), age(c.Now(), r.Created), took, r.By, dash(r.Reason))
			}
		})
	})
}

// theRun is the run named by the second argument, or the newest.
func (c *call) theRun() (int, error) {
	app, err := c.theApp()
	if err != nil {
		return 0, err
	}
	if len(c.args) > 1 {
		n, err := lain.ParseRunID(c.args[1])
		if err != nil {
			return 0, wrongArgument(c, "%w", err)
		}
		return n, nil
	}
	if app.LastRun == 0 {
		return 0, fault.New(fault.NotFound, "%s has had no run yet", c.app)
	}
	return app.LastRun, nil
}

func runsAttach(c *call) error {
	n, err := c.theRun()
	if err != nil {
		return err
	}
	if err := c.follow(n); err != nil {
		return err
	}
	run, err := c.Runs.Wait(c, c.app, n)
	if err != nil {
		return err
	}
	if run.State != lain.RunDone {
		return fault.New(fault.Failed, "%s %s: %s", run.ID(), run.State, run.Reason)
	}
	return nil
}

// follow writes a run's events as they come: drawn, or one JSON object a line.
func (c *call) follow(number int) error {
	ctx, stop := c.watching()
	defer stop()
	return c.Runs.Follow(ctx, c.app, number, func(events []report.Event) error {
		var b strings.Builder
		for _, e := range events {
			if !c.json {
				b.WriteString(report.Draw(e))
				continue
			}
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			b.Write(append(line, '\n'))
		}
		_, err := io.WriteString(c.session.Stdout, b.String())
		return err
	})
}

func runsCancel(c *call) error {
	n, err := c.theRun()
	if err != nil {
		return err
	}
	if err := c.Runs.Cancel(c, c.app, n, fmt.Sprintf("cancelled by %s", c.session.Person)); err != nil {
		return err
	}
	run, err := c.Runs.Wait(c, c.app, n)
	if err != nil {
		return err
	}
	return c.answer(run, func(w io.Writer) { fmt.Fprintf(w, "%s is %s.\n", run.ID(), run.State) })
}

func logs(c *call) error {
	if _, err := c.theApp(); err != nil {
		return err
	}
	if id, _ := c.flags.GetString("run"); id != "" {
		n, err := lain.ParseRunID(id)
		if err != nil {
			return wrongArgument(c, "%w", err)
		}
		return c.follow(n)
	}
	q := engine.LogQuery{App: c.app}
	q.Follow, _ = c.flags.GetBool("follow")
	q.Tail, _ = c.flags.GetInt("number")
	var err error
	if q.Since, err = c.since(); err != nil {
		return err
	}
	if q.Proc, q.Instance, err = c.whose(); err != nil {
		return err
	}
	ctx, stop := c.watching()
	defer stop()
	return c.Logs.Logs(ctx, q, c.writeLine)
}

// whose reads --proc and --instance.
func (c *call) whose() (lain.ProcName, int, error) {
	proc, _ := c.flags.GetString("proc")
	instance, _ := c.flags.GetString("instance")
	if instance != "" {
		name, number, err := c.instance(instance)
		if err == nil && proc != "" && proc != string(name) {
			err = wrongArgument(c, "--instance %s is none of --proc %s", instance, report.Line(proc, 40)).WithHint("See: ps %s", c.app)
		}
		return name, number, err
	}
	if proc == "" {
		return "", 0, nil
	}
	name, err := lain.ParseProcName(proc)
	if err != nil {
		return "", 0, fault.New(fault.Invalid, "%w", err)
	}
	return name, 0, nil
}

// instance reads the name of one, as ps has it.
func (c *call) instance(text string) (lain.ProcName, int, error) {
	name, digits, _ := strings.Cut(text, ".")
	number, err := strconv.Atoi(digits)
	if err != nil || number < 1 {
		return "", 0, wrongArgument(c, "%q is no instance: say it as ps does, web.1", report.Line(text, 40)).WithHint("See: ps %s", c.app)
	}
	proc, err := lain.ParseProcName(name)
	if err != nil {
		return "", 0, fault.New(fault.Invalid, "%w", err)
	}
	return proc, number, nil
}

// watching is the context of a verb that only looks: it ends with the server as well, so that a follower
// never holds up its stop.
func (c *call) watching() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(c)
	gone := fault.New(fault.Unavailable, "the server is restarting").WithHint("Say it again in a moment.")
	unhook := context.AfterFunc(c.Draining, func() { cancel(gone) })
	return ctx, func() { unhook(); cancel(nil) }
}

// logLine is a line of an instance in --json.
type logLine struct {
	Time     time.Time `json:"time"`
	Proc     string    `json:"proc"`
	Instance int       `json:"instance"` // 1..N; 0 when nobody knows any more
	Stream   string    `json:"stream"`   // stdout or stderr
	Message  string    `json:"message"`
}

func (c *call) writeLine(l engine.LogLine) error {
	if c.json {
		line := logLine{Time: l.At.UTC(), Proc: l.Proc, Instance: l.Instance, Stream: "stdout", Message: l.Text}
		if l.Stderr {
			line.Stream = "stderr"
		}
		return json.NewEncoder(c.session.Stdout).Encode(line)
	}
	_, err := fmt.Fprintf(c.session.Stdout, "%s %s.%d: %s\n", l.At.UTC().Format("2006-01-02T15:04:05.000Z"), l.Proc, l.Instance, report.Clean(l.Text))
	return err
}
