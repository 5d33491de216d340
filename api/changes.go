package api

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// Changes are releases that are made without a push.
type Changes interface {
	Submit(context.Context, lain.RunRequest) (lain.Run, error)
	Preview(context.Context, lain.AppName, lain.Change) (next, serving lain.Release, err error)
	Ban(ctx context.Context, app lain.AppName, number int, ban *lain.Ban) (root int, err error) // nil: allow it again
}

// changeVerbs are the verbs that make a release of an earlier one, and those that forbid it.
func changeVerbs() []verb {
	return []verb{
		{name: "rollback", args: "APP [VERSION]", summary: "release an earlier release again (the last other commit that served, where none is named)",
			detail: "It becomes a new release: the old image and lain.yaml, in the sizes of now. The deploy branch moves back with it.\n" +
				"If it does not get healthy, what serves now goes on.",
			example: "rollback hello v7", action: access.Operate, run: rollback,
			flags: func(f *pflag.FlagSet) {
				changeFlags(f)
				f.Bool("with-secrets", false, "with the secret files and config values that the release had, not with the newest")
			}},
		{name: "redeploy", args: "APP", summary: "release what serves again, with new containers", example: "redeploy hello",
			action: access.Operate, flags: changeFlags, run: func(c *call) error { return c.change(lain.Change{Why: lain.WhyRedeploy}) }},
		{name: "restart", args: "APP [PROC...]", summary: "replace the containers of some procs, or of all, without losing a request", example: "restart hello worker",
			action: access.Operate, flags: changeFlags, run: restart},
		{name: "scale", args: "APP [PROC[=N|=yaml]...]", summary: "set instances, memory and cpu of procs; without a proc: show them",
			detail:  "What is scaled stays so over later pushes, until PROC=yaml goes back to what lain.yaml says.",
			example: "scale hello web=3 worker=2\n  ssh lain scale hello web --memory 64m --cpu 1\n  ssh lain scale hello web=yaml", action: access.Operate,
			flags: func(f *pflag.FlagSet) {
				changeFlags(f)
				f.String("memory", "", "limit of each instance of the procs that are named (64m, 1g)")
				f.Int("cpu", -1, "cpu level of the procs that are named: 1 to 8, in eighths of half a node; 0: no limit")
			}, run: scale},
		{name: "ban", args: "APP VERSION", summary: "keep a release from being released again; one that serves goes on", example: "ban hello v7 -m 'leaks sessions'",
			action: access.Operate, flags: func(f *pflag.FlagSet) { f.StringP("message", "m", "", "why, for those who come later (needed)") }, run: ban},
		{name: "unban", args: "APP VERSION", summary: "allow a banned release again", example: "unban hello v7",
			action: access.Operate, run: unban},
		{name: "diff", args: "APP [VERSION] [VERSION]", summary: "what differs between two releases (the former one and the one that serves, where none is named)",
			example: "diff hello v7 v9", action: access.Read, run: diff},
	}
}

func changeFlags(f *pflag.FlagSet) {
	f.Bool("dry-run", false, "say what would change, and change nothing")
	f.BoolP("detach", "d", false, "answer at once; runs attach follows it")
}

// change shows or makes a change, and follows its run to the end.
func (c *call) change(ch lain.Change) error {
	next, serving, err := c.Changes.Preview(c, c.app, ch)
	if err != nil {
		return err
	}
	if dry, _ := c.flags.GetBool("dry-run"); dry {
		return c.preview(ch, serving, changes.Compare(serving, next))
	}
	detach, _ := c.flags.GetBool("detach")
	run, err := c.Changes.Submit(c, lain.RunRequest{App: c.app, By: c.session.Person, Change: &ch, Detach: detach})
	if err != nil {
		return err
	}
	if detach {
		return c.answer(run, func(w io.Writer) {
			fmt.Fprintf(w, "%s goes on without you. Follow it with: runs attach %s %s\n", run.ID(), c.app, run.ID())
		})
	}
	return c.watchChange(run)
}

func (c *call) preview(ch lain.Change, serving lain.Release, lines []string) error {
	return c.answer(preview{serving.Version(), ch, append([]string{}, lines...)}, func(w io.Writer) {
		fmt.Fprintf(w, "%s would change %s, which serves, so:\n", changes.Title(ch, c.app), serving.Version())
		for _, line := range lines {
			fmt.Fprintf(w, "  %s\n", line)
		}
		if len(lines) == 0 {
			fmt.Fprintln(w, "  nothing but new containers")
		}
	})
}

// watchChange draws the run until it has ended. A person who goes away leaves it alone: a verb was said once.
func (c *call) watchChange(run lain.Run) error {
	if !c.json {
		if err := c.follow(run.Number); err != nil {
			return err
		}
	}
	ended, err := c.Runs.Wait(c, c.app, run.Number)
	if err != nil {
		return err
	}
	if ended.State != lain.RunDone {
		return fault.New(fault.Failed, "%s %s: %s", ended.ID(), ended.State, ended.Reason)
	}
	if c.json {
		return c.answer(ended, nil)
	}
	return nil
}

func rollback(c *call) error {
	n, err := c.theRelease(1)
	if err == nil && n == 0 {
		n, err = c.lastOther()
	}
	if err != nil {
		return err
	}
	old, _ := c.flags.GetBool("with-secrets")
	return c.change(lain.Change{Why: lain.WhyRollback, From: n, OldSecrets: old})
}

// theRelease is the number in argument i, 0 where there is none.
func (c *call) theRelease(i int) (int, error) {
	if len(c.args) <= i {
		return 0, nil
	}
	n, err := lain.ParseVersion(c.args[i])
	if err != nil {
		return 0, wrongArgument(c, "%w", err)
	}
	return n, nil
}

// lastOther is the release that a rollback goes to which names none.
func (c *call) lastOther() (int, error) {
	app, err := c.theApp()
	if err != nil {
		return 0, err
	}
	all, err := newest(c, c.API.releases, app.Name, app.LastRelease, app.LastRelease)
	if err != nil {
		return 0, err
	}
	if n := former(all, app.Serving); n != 0 {
		return n, nil
	}
	return 0, fault.New(fault.NotFound, "no other commit of %s has served before", c.app).WithHint("See: releases %s", c.app)
}

// former is the newest release that served another commit than serving before it, and is not banned; 0 where there
// is none. All come newest first. What serves is as old as its root. Other returns are passed over: the root of each
// has served too, and holds its ban.
func former(all []lain.Release, serving int) int {
	var now lain.Release
	for _, r := range all {
		if r.Number == serving {
			now = r
		}
	}
	for _, r := range all {
		if r.Number < now.Root() && r.Root() == r.Number && r.Status == lain.ReleaseReplaced && r.Commit != now.Commit && r.Ban == nil {
			return r.Number
		}
	}
	return 0
}

func restart(c *call) error {
	procs, err := procNames(c.args[1:])
	if err != nil {
		return err
	}
	return c.change(lain.Change{Why: lain.WhyRestart, Procs: procs})
}

func procNames(args []string) ([]lain.ProcName, error) {
	var procs []lain.ProcName
	for _, arg := range args {
		name, err := lain.ParseProcName(arg)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
		procs = append(procs, name)
	}
	return procs, nil
}

func scale(c *call) error {
	if len(c.args) == 1 {
		return sizes(c)
	}
	wanted, err := c.sizesAsked()
	if err != nil {
		return err
	}
	return c.change(lain.Change{Why: lain.WhyScale, Sizes: wanted})
}

// sizesAsked reads PROC=N, PROC=yaml and PROC with --memory and --cpu.
func (c *call) sizesAsked() (map[lain.ProcName]lain.Size, error) {
	common, err := c.sizeFlags()
	if err != nil {
		return nil, err
	}
	sizes := map[lain.ProcName]lain.Size{}
	for _, arg := range c.args[1:] {
		word, value, given := strings.Cut(arg, "=")
		name, err := lain.ParseProcName(word)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
		if _, twice := sizes[name]; twice {
			return nil, wrongArgument(c, "%s is named twice", name)
		}
		if sizes[name], err = c.oneSize(name, value, given, common); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

func (c *call) oneSize(name lain.ProcName, value string, given bool, size lain.Size) (lain.Size, error) {
	if value == "yaml" {
		if !size.IsZero() {
			return size, wrongArgument(c, "%s=yaml goes back to lain.yaml whole: leave --memory and --cpu out", name)
		}
		return size, nil
	}
	if given {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > lain.MostInstances {
			return size, wrongArgument(c, "%s=%s: say how many instances, 0 to %d, or yaml", name, value, lain.MostInstances)
		}
		size.Instances = &n
	}
	if size.IsZero() {
		return size, wrongArgument(c, "%s: say how many (%s=3), --memory or --cpu", name, name)
	}
	return size, nil
}

func (c *call) sizeFlags() (lain.Size, error) {
	var size lain.Size
	if text, _ := c.flags.GetString("memory"); text != "" {
		n, err := units.RAMInBytes(text)
		if err != nil || n <= 0 {
			return size, wrongArgument(c, "--memory %s is no amount of memory: use 64m or 1g", report.Line(text, 40))
		}
		size.MemoryBytes = n
	}
	if level, _ := c.flags.GetInt("cpu"); c.flags.Changed("cpu") {
		size.CPULevel = &level
	}
	return size, nil
}

// procSize is a row of scale without a proc.
type procSize struct {
	Proc     lain.ProcName `json:"proc"`
	Live     lain.Size     `json:"live"`
	Declared lain.Size     `json:"declared"`
}

func sizes(c *call) error {
	_, serving, err := c.Changes.Preview(c, c.app, lain.Change{Why: lain.WhyRestart})
	if err != nil {
		return err
	}
	list := []procSize{}
	for _, p := range serving.Procs {
		row := procSize{Proc: p.Name, Live: p.Size(), Declared: p.Size()}
		if p.Declared != nil {
			row.Declared = *p.Declared
		}
		list = append(list, row)
	}
	return c.answer(list, func(w io.Writer) {
		rows(w, "PROC INSTANCES MEMORY CPU LAIN.YAML", func(row func(...any)) {
			for _, p := range list {
				row(p.Proc, *p.Live.Instances, units.BytesSize(float64(p.Live.MemoryBytes)), *p.Live.CPULevel,
					fmt.Sprintf("%d, %s, %d", *p.Declared.Instances, units.BytesSize(float64(p.Declared.MemoryBytes)), *p.Declared.CPULevel))
			}
		})
	})
}

func ban(c *call) error {
	n, err := c.theRelease(1)
	if err != nil {
		return err
	}
	reason, _ := c.flags.GetString("message")
	if strings.TrimSpace(reason) == "" || len(reason) > 500 {
		return wrongArgument(c, "say why in at most 500 characters: ban %s v%d -m REASON", c.app, n)
	}
	b := lain.Ban{Reason: reason, By: c.session.Person, At: c.Now().UTC()}
	root, err := c.Changes.Ban(c, c.app, n, &b)
	if err != nil {
		return err
	}
	return c.answer(b, func(w io.Writer) {
		fmt.Fprintf(w, "v%d of %s is banned%s: no rollback goes there.\n", root, c.app, returned(n, root))
	})
}

func unban(c *call) error {
	n, err := c.theRelease(1)
	if err != nil {
		return err
	}
	root, err := c.Changes.Ban(c, c.app, n, nil)
	if err != nil {
		return err
	}
	return c.answer(unbanned{root}, func(w io.Writer) {
		fmt.Fprintf(w, "v%d of %s may be released again%s.\n", root, c.app, returned(n, root))
	})
}

// returned says of a release that was named why another one, its root, is spoken of.
func returned(named, root int) string {
	if named == root {
		return ""
	}
	return fmt.Sprintf(", and v%d with it, which returned to it", named)
}
