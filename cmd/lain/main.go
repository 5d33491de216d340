// Command lain is the developer's client: it gives the server's verbs over ssh, with the application and the server
// filled in from the git remotes of the current repository, and has a few commands that only a client can have.
//
//	lain create
//	lain logs -f
//	lain config set DATABASE_URL
//	lain open
//
// It keeps no state and has no settings. The way to the server is the ssh program with its own configuration, keys
// and agent; the answer is what the server says, with its exit code. Words go to ssh as arguments, never through a
// shell on this side.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/lain/verbs"
)

// version is set by the linker.
var version = "dev"

func main() {
	c := &client{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	os.Exit(c.main(os.Args[1:]))
}

// client is one use of the program. The streams are files, so that ssh gets them as they are.
type client struct {
	in, out, err *os.File
	getenv       func(string) string
}

// exit ends the program with a code when all has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// main carries out what was typed and returns the exit code.
func (c *client) main(args []string) int {
	err := c.do(args)
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	var f *fault.Fault
	if !errors.As(err, &f) { // there is no log to look into on this side
		f = fault.New(fault.Internal, "%w", err)
	}
	c.trouble(f)
	return fault.ExitCode(f)
}

// trouble draws an error as the server does.
func (c *client) trouble(err error) {
	for i, line := range fault.Lines(err) {
		kind := report.Detail
		if i == 0 {
			kind = report.Trouble
		}
		io.WriteString(c.err, report.Draw(report.Event{Kind: kind, Text: line}))
	}
}

// do tells commands of our own from verbs of the server. Everything unknown is the server's to judge.
func (c *client) do(args []string) error {
	words, where, err := split(args)
	if err != nil {
		return err
	}
	if len(words) == 0 || own(words) {
		return c.own(args)
	}
	if strings.HasPrefix(words[0], "-") {
		return fault.New(fault.Invalid, "the flag %s stands before a verb", report.Line(words[0], 40)).WithHint("See: lain --help")
	}
	return c.verb(words, where)
}

// ours are first words that cobra brings along.
var ours = []string{"--help", "-h", "--version", "-v", "__complete", "__completeNoDesc"}

// own says whether words are for this program: a command of it, or help for one.
func own(words []string) bool {
	if words[0] == "help" {
		return len(words) > 1 && slices.Contains(verbs.Own, words[1])
	}
	return slices.Contains(verbs.Own, words[0]) || slices.Contains(ours, words[0])
}
