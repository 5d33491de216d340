package receive

import (
	"fmt"
	"slices"
	"strings"

	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
)

// verdict is what becomes of one ref, before any run.
type verdict string

const (
	deploy verdict = "deploy" // becomes a run
	keep   verdict = "keep"   // a tag: moved as it is
	refuse verdict = "refuse" // Reason says why
)

// sorted is a command with its verdict.
type sorted struct {
	gitserver.Command
	Verdict verdict
	Reason  string // of a refusal, one line
	Hint    string // for the terminal
}

// Options are the push options (git push -o) that Lain knows.
type Options struct {
	Detach    bool
	BuildOnly bool
	Supersede bool

	SkipOneshot bool
}

// known lists the push options with what they do, for the refusal of others.
var known = []string{"detach", "build-only", "supersede", "skip-oneshot"}

// parseOptions reads push options; one that is not known refuses the push, since it would silently do nothing.
func parseOptions(raw []string) (Options, error) {
	var o Options
	for _, s := range raw {
		switch s {
		case "detach":
			o.Detach = true
		case "build-only":
			o.BuildOnly = true
		case "supersede":
			o.Supersede = true
		case "skip-oneshot":
			o.SkipOneshot = true
		default:
			return o, fmt.Errorf("push option %q is not known; there are: %s", report.Line(s, 40), strings.Join(known, ", "))
		}
	}
	return o, nil
}

// deployBranch is the branch that deploys: the application's own, or for its first push main, or master.
func deployBranch(app lain.App, commands []gitserver.Command) string {
	if app.DeployBranch != "" {
		return app.DeployBranch
	}
	pushed := func(ref string) bool {
		return slices.ContainsFunc(commands, func(c gitserver.Command) bool { return c.Ref == ref && !c.New.IsZero() })
	}
	if !pushed("refs/heads/main") && pushed("refs/heads/master") {
		return "master"
	}
	return "main"
}

// sort gives every command of a push its verdict. exists tells whether the application was made before; of one
// that was not, app holds the name only.
func sort(app lain.App, exists, atomic bool, commands []gitserver.Command) []sorted {
	branch := deployBranch(app, commands)
	var out []sorted
	makes := slices.ContainsFunc(commands, func(c gitserver.Command) bool { return c.Ref == "refs/heads/"+branch && !c.New.IsZero() })
	for _, c := range commands {
		out = append(out, judge(c, app.Name, branch, exists || makes))
	}
	if atomic && len(commands) > 1 && slices.ContainsFunc(out, func(s sorted) bool { return s.Verdict == deploy }) {
		for i := range out {
			out[i].Verdict, out[i].Reason = refuse, "an atomic push can't join "+branch+" with other refs; push "+branch+" alone"
		}
	}
	return out
}

// judge decides about one ref. lives tells whether there is an application, or this push would make it.
func judge(c gitserver.Command, app lain.AppName, branch string, lives bool) sorted {
	s := sorted{Command: c, Verdict: refuse}
	name, isBranch := strings.CutPrefix(c.Ref, "refs/heads/")
	switch {
	case isBranch && name == branch && c.New.IsZero():
		s.Reason = branch + " is what deploys and can't be deleted"
		s.Hint = fmt.Sprintf("To remove the application: destroy %s --confirm %s", app, app)
	case isBranch && name == branch:
		s.Verdict = deploy
	case isBranch && c.New.IsZero():
		s.Reason = "there is no such branch here; only " + branch + " is kept"
	case isBranch:
		s.Reason = "only " + branch + " deploys; to deploy this branch: git push lain " + name + ":" + branch
	case strings.HasPrefix(c.Ref, "refs/tags/") && !lives:
		s.Reason = "a tag alone makes no application; push " + branch + " first"
	case strings.HasPrefix(c.Ref, "refs/tags/"):
		s.Verdict = keep
	default:
		s.Reason = "only the branch " + branch + " and tags are taken"
	}
	return s
}
