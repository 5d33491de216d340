package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"lain.internal/lain/lain/fault"
)

var update = flag.Bool("update", false, "write docs/verbs.md anew")

const verbsPage = "../docs/verbs.md"

// docs/verbs.md is what the table of verbs says.
func TestVerbsPage(t *testing.T) {
	want := page((&API{}).table())
	if *update {
		if err := os.WriteFile(verbsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(verbsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not say what the verbs are; write it anew with: go test ./api -run TestVerbsPage -update", verbsPage)
	}
}

const pageHead = `# The verbs

<!-- Generated: go test ./api -run TestVerbsPage -update -->

What ` + "`ssh lain VERB`" + ` understands. With the client (` + "`docs/client.md`" + `) it is ` + "`lain VERB`" + `, without the application. This page is
generated from the table in the code that parses the words, and ` + "`ssh lain help VERB`" + ` says the same.

Words in brackets may be left out; ` + "`...`" + ` stands for more of the same. Flags may stand anywhere behind the verb. Each verb
takes ` + "`--json`" + ` and then answers with one JSON value, those that follow something with one a line; fields keep their names. What it looks like is in
` + "`docs/verbs.schema.json`" + `, and ` + "`help VERB --json`" + ` tells it of one verb.

## Exit codes

| code | |
| --- | --- |
| 0 | done |
`

// exits are the kinds of faults, and what each means to a script.
var exits = []struct {
	kind fault.Kind
	what string
}{
	{fault.Failed, "a program of yours failed: build, test, start; a run that was followed did not end well"},
	{fault.Invalid, "wrong words, or what came on standard input is wrong"},
	{fault.NotFound, "there is no such thing"},
	{fault.Internal, "our mistake; the server's log has it"},
	{fault.Unavailable, "something is in the way, or away: try again"},
	{fault.Denied, "not allowed"},
	{fault.Cancelled, "cancelled"},
}

func page(verbs []verb) string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, e := range exits {
		fmt.Fprintf(&b, "| %d | %s |\n", fault.ExitCode(fault.New(e.kind, "")), e.what)
	}
	b.WriteString("| 255 | said by `ssh` itself: it did not get through |\n\n## All of them\n\n| verb | |\n| --- | --- |\n")
	for _, v := range verbs {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", v.name, strings.ReplaceAll(v.name, " ", "-"), v.summary)
	}
	for _, v := range verbs {
		section(&b, v)
	}
	return b.String()
}

func section(b *strings.Builder, v verb) {
	fmt.Fprintf(b, "\n## %s\n\n    %s\n\n%s.\n", v.name, strings.TrimSpace(v.name+" "+v.args), strings.ToUpper(v.summary[:1])+v.summary[1:])
	if v.detail != "" {
		fmt.Fprintf(b, "\n%s\n", v.detail)
	}
	if v.flags != nil {
		flags := pflag.NewFlagSet(v.name, pflag.ContinueOnError)
		v.flags(flags)
		b.WriteString("\n| flag | default | |\n| --- | --- | --- |\n")
		flags.VisitAll(func(f *pflag.Flag) { fmt.Fprintf(b, "| %s | %s | %s |\n", flagName(f), preset(f), f.Usage) })
	}
	b.WriteString("\nFor example:\n\n")
	for _, line := range strings.Split("ssh lain "+v.example, "\n") {
		fmt.Fprintf(b, "    %s\n", strings.TrimSpace(line))
	}
}

// flagName is how a flag is written, with what it takes.
func flagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Value.Type() != "bool" {
		name += " " + strings.ToUpper(f.Value.Type())
	}
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + "`, `" + name
	}
	return "`" + name + "`"
}

// preset is what a flag is where it is not given, unless that is nothing.
func preset(f *pflag.Flag) string {
	if f.DefValue == "" || f.DefValue == "false" {
		return ""
	}
	return "`" + f.DefValue + "`"
}
