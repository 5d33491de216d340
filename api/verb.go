package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// verb is one row of the table.
type verb struct {
	name    string // "apps create"
	args    string // "APP RUN"; "[APP]" may be left out
	summary string // one line
	detail  string // more for --help, or ""
	example string // what one would type behind "ssh lain"
	action  access.Action
	told    int // how many of the arguments behind APP its line in the trail has; 0: all
	flags   func(*pflag.FlagSet)
	run     func(*call) error
}

// exit ends a verb with a code of its own, when all has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// call is one use of a verb.
type call struct {
	context.Context
	*API
	session gitserver.Session
	flags   *pflag.FlagSet
	args    []string
	json    bool
	app     lain.AppName // the first argument where the verb names an application
	verb    verb
}

// arity is how many arguments a verb must and may have.
func (v verb) arity() (least, most int) {
	for _, f := range strings.Fields(v.args) {
		if !strings.HasPrefix(f, "[") {
			least++
		}
		most++
		if strings.HasSuffix(f, "...") || strings.HasSuffix(f, "...]") {
			return least, 1 << 10
		}
	}
	return least, most
}

// find splits args into a verb and the rest; the longest name wins.
func (a *API) find(args []string) (verb, []string, bool) {
	var best verb
	var rest []string
	for _, v := range a.verbs {
		words := strings.Fields(v.name)
		if len(words) <= len(args) && slices.Equal(words, args[:len(words)]) && len(v.name) > len(best.name) {
			best, rest = v, args[len(words):]
		}
	}
	return best, rest, best.name != ""
}

// Run carries one command out and returns its exit code. It writes to the session only.
func (a *API) Run(ctx context.Context, s gitserver.Session, args []string) int {
	err := a.do(ctx, s, args)
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		a.Logger.Error("verb failed by our own mistake", "verb", args[0], "person", s.Person, "error", err)
	}
	for i, line := range fault.Lines(f) {
		kind := report.Detail
		if i == 0 {
			kind = report.Trouble
		}
		io.WriteString(s.Stderr, report.Draw(report.Event{Kind: kind, Text: line}))
	}
	return fault.ExitCode(f)
}

func (a *API) do(ctx context.Context, s gitserver.Session, args []string) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	v, rest, ok := a.find(args)
	if !ok {
		return unknownVerb(a.verbs, args[0])
	}
	c := &call{Context: ctx, API: a, session: s, verb: v}
	c.flags = newFlags(v, c)
	switch err := c.flags.Parse(rest); {
	case errors.Is(err, pflag.ErrHelp):
		a.usage(s.Stdout, v)
		return nil
	case err != nil:
		return fault.New(fault.Invalid, "%s: %s", v.name, report.Line(err.Error(), 200)).WithHint("See: help %s", v.name)
	}
	c.args = c.flags.Args()
	if least, most := v.arity(); len(c.args) < least || len(c.args) > most {
		return fault.New(fault.Invalid, "%s takes %s", v.name, orNothing(v.args)).WithHint("See: help %s", v.name)
	}
	if err := c.bind(v); err != nil {
		return err
	}
	return c.kept(v)
}

// newFlags are the verb's own flags and those that every verb has.
func newFlags(v verb, c *call) *pflag.FlagSet {
	flags := pflag.NewFlagSet(v.name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.json, "json", false, "answer with one JSON value")
	if v.flags != nil {
		v.flags(flags)
	}
	return flags
}

// bind reads the application's name where the verb has one.
func (c *call) bind(v verb) error {
	if !strings.HasPrefix(strings.Trim(v.args, "[]"), "APP") || len(c.args) == 0 {
		return nil
	}
	app, err := lain.ParseAppName(c.args[0])
	if err != nil {
		return fault.New(fault.Invalid, "%w", err)
	}
	c.app = app
	return nil
}

func orNothing(args string) string {
	if args == "" {
		return "no arguments"
	}
	return args
}

func unknownVerb(verbs []verb, word string) error {
	f := fault.New(fault.Invalid, "there is no verb %q", report.Line(word, 40))
	for _, v := range verbs {
		if strings.HasPrefix(v.name, word) || near(strings.Fields(v.name)[0], word) {
			return f.WithHint("Did you mean: %s\nSee: help", v.name)
		}
	}
	return f.WithHint("See: help")
}

// near tells words apart that differ by one letter left out, added, changed or swapped.
func near(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > 1 || len(b) < 2 {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) > len(b) {
		return a[i+1:] == b[i:]
	}
	return i == len(a) || a[i+1:] == b[i+1:] ||
		i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// answer writes v as JSON, or lets table write it for people. Its type is among the verb's shapes.
func (c *call) answer(v any, table func(io.Writer)) error {
	if err := shapes[c.verb.name].fits(v); err != nil {
		return fmt.Errorf("%s: %w", c.verb.name, err)
	}
	if c.json {
		enc := json.NewEncoder(c.session.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	table(c.session.Stdout)
	return nil
}

// say writes one line for people; with --json it is silent.
func (c *call) say(format string, args ...any) {
	if !c.json {
		fmt.Fprintf(c.session.Stdout, format+"\n", args...)
	}
}
