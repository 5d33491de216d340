package api

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"lain.internal/lain/lain/fault"
)

func (a *API) help(c *call) error {
	if len(c.args) == 0 {
		return c.answer(a.index(), a.overview)
	}
	v, rest, ok := a.find(c.args)
	if !ok || len(rest) > 0 {
		return unknownVerb(a.verbs, strings.Join(c.args, " "))
	}
	return c.answer(verbHelp{v.info(), v.detail, shapes[v.name].each != nil, shapes[v.name].schema()}, func(w io.Writer) { a.usage(w, v) })
}

// verbHelp is the answer of help about one verb.
type verbHelp struct {
	verbInfo
	Detail string         `json:"detail,omitempty"`
	Lines  bool           `json:"lines"`            // its answer is a line for each of something, where it follows that
	Answer map[string]any `json:"answer,omitempty"` // JSON Schema of its answer, or of each line of it
}

// verbInfo is a verb in --json of help.
type verbInfo struct {
	Name    string `json:"name"`
	Args    string `json:"args"`
	Summary string `json:"summary"`
	Example string `json:"example"`
}

func (v verb) info() verbInfo { return verbInfo{v.name, v.args, v.summary, v.example} }

func (a *API) index() []verbInfo {
	var all []verbInfo
	for _, v := range a.verbs {
		all = append(all, v.info())
	}
	return all
}

func (a *API) overview(w io.Writer) {
	fmt.Fprintf(w, "Lain %s, cluster %s. Deploy with: git push lain main\n\nVerbs:\n", a.Version, a.Cluster)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, v := range a.verbs {
		fmt.Fprintf(t, "  %s\t%s\n", strings.TrimSpace(v.name+" "+v.args), v.summary)
	}
	t.Flush()
	fmt.Fprint(w, `
help VERB shows a verb's flags and an example. Each verb takes --json.
Push options: -o detach (answer at once), -o build-only (stop before the rollout),
-o supersede (also stop the run that builds now), -o skip-oneshot (run no oneshot procs).
Exit codes: 0 done, 1 your program failed, 64 wrong words, 66 no such thing,
70 our mistake, 75 try again, 77 not allowed, 130 cancelled.
For now every person with a key is an admin of the whole cluster.
`)
}

func (a *API) usage(w io.Writer, v verb) {
	fmt.Fprintf(w, "%s\n\n%s\n", strings.TrimSpace(v.name+" "+v.args), v.summary)
	if v.detail != "" {
		fmt.Fprintf(w, "\n%s\n", v.detail)
	}
	c := &call{API: a}
	flags := newFlags(v, c)
	if u := flags.FlagUsages(); u != "" {
		fmt.Fprintf(w, "\nFlags:\n%s", u)
	}
	fmt.Fprintf(w, "\nExample:\n  ssh lain %s\n", v.example)
}

// wrongArgument is a refusal of one argument.
func wrongArgument(c *call, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, format, args...).WithHint("See: help %s", c.flags.Name())
}
