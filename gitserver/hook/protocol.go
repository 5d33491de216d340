package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"unicode"
	"unicode/utf8"

	"lain.internal/lain/lain"
	"lain.internal/lain/pktline"
)

// Bounds on what one push may ask.
const (
	maxCommands   = 10_000
	maxOptions    = 64
	maxOption     = 4 << 10 // bytes
	maxRef        = 1000    // bytes
	maxReason     = 1000    // bytes
	handshakeLine = "version=1"
)

// Command is one ref that a push wants changed. Old or New is all zeros for a ref that is to be made or
// deleted.
type Command struct {
	Old, New lain.Commit
	Ref      string
}

// Request is a push as git describes it, all of whose objects are in the repository.
type Request struct {
	Commands []Command // not empty, each ref once
	Options  []string  // push options, foreign text
	Atomic   bool      // all refs or none
	Progress io.Writer // the pusher's terminal
}

// Answer is what became of one command. The zero Reason means that the ref is as the pusher wanted it, or
// that NewRef is.
type Answer struct {
	Ref      string
	Reason   string      // why it was refused: one line, shown whole by git
	NewRef   string      // the ref that was really changed
	Old, New lain.Commit // what really changed, where it differs
	Forced   bool        // it was not a fast-forward
}

// protocol is version 1 of git's proc-receive protocol, the hook's side of it (githooks(5)).
type protocol struct {
	r *pktline.Reader
	w *pktline.Writer
}

func newProtocol(r io.Reader, w io.Writer) *protocol {
	return &protocol{r: pktline.NewReader(r), w: pktline.NewWriter(w)}
}

// request greets git and reads what it wants.
func (p *protocol) request() (Request, error) {
	var r Request
	withOptions, err := p.greet(&r)
	if err != nil {
		return r, err
	}
	if err := p.commands(&r); err != nil {
		return r, err
	}
	if !withOptions {
		return r, nil
	}
	return r, p.options(&r)
}

// greet answers with the capabilities that git offered and we know.
func (p *protocol) greet(r *Request) (withOptions bool, err error) {
	err = p.lines(1, func(line string) error {
		version, capabilities, _ := strings.Cut(line, "\x00")
		if version != handshakeLine {
			return fmt.Errorf("git speaks another protocol to its hook: %q", version)
		}
		for _, name := range strings.Fields(capabilities) {
			r.Atomic = r.Atomic || name == "atomic"
			withOptions = withOptions || name == "push-options"
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return withOptions, errors.Join(p.w.Data([]byte(hello(r.Atomic, withOptions))), p.w.Flush())
}

// hello is the hook's side of the greeting: the version, and the capabilities that both have.
func hello(atomic, options bool) string {
	var capabilities []string
	if atomic {
		capabilities = append(capabilities, "atomic")
	}
	if options {
		capabilities = append(capabilities, "push-options")
	}
	if len(capabilities) == 0 {
		return handshakeLine
	}
	return handshakeLine + "\x00" + strings.Join(capabilities, " ")
}

func (p *protocol) commands(r *Request) error {
	seen := map[string]bool{}
	err := p.lines(maxCommands, func(line string) error {
		c, err := parseCommand(line)
		if err != nil {
			return err
		}
		if seen[c.Ref] {
			return fmt.Errorf("git names %q twice", c.Ref)
		}
		seen[c.Ref] = true
		r.Commands = append(r.Commands, c)
		return nil
	})
	if err == nil && len(r.Commands) == 0 {
		err = errors.New("git's push has no commands")
	}
	return err
}

func parseCommand(line string) (Command, error) {
	f := strings.SplitN(line, " ", 3)
	if len(f) != 3 || !strings.HasPrefix(f[2], "refs/") || len(f[2]) > maxRef || hasControl(f[2]) {
		return Command{}, fmt.Errorf("git sent the command %.200q", line)
	}
	before, err := lain.ParseCommit(f[0])
	if err != nil {
		return Command{}, err
	}
	after, err := lain.ParseCommit(f[1])
	if err != nil {
		return Command{}, err
	}
	if len(before) != len(after) {
		return Command{}, fmt.Errorf("git sent the command %.200q", line)
	}
	return Command{Old: before, New: after, Ref: f[2]}, nil
}

// hasControl looks at bytes: a ref need not be UTF-8.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f })
}

func (p *protocol) options(r *Request) error {
	return p.lines(maxOptions, func(line string) error {
		if len(line) > maxOption {
			return fmt.Errorf("a push option has %d bytes, at most %d are read", len(line), maxOption)
		}
		r.Options = append(r.Options, line)
		return nil
	})
}

// lines reads packets up to a flush, at most max of them, without a newline at their end.
func (p *protocol) lines(max int, fn func(string) error) error {
	for n := 0; ; n++ {
		payload, k, err := p.r.Next()
		if err != nil {
			return fmt.Errorf("read from git: %w", err)
		}
		if k == pktline.Flush {
			return nil
		}
		if k != pktline.Data || n == max {
			return fmt.Errorf("git sent more than %d lines in one part of a push", max)
		}
		if err := fn(string(bytes.TrimSuffix(payload, []byte("\n")))); err != nil {
			return err
		}
	}
}

// answer reports each command, in git's order. One that the answers leave out is refused.
func (p *protocol) answer(r Request, answers []Answer) error {
	byRef := map[string]Answer{}
	for _, a := range answers {
		byRef[a.Ref] = a
	}
	for _, c := range r.Commands {
		a, ok := byRef[c.Ref]
		if !ok {
			a = Answer{Ref: c.Ref, Reason: "internal error: the push was not answered"}
		}
		if err := p.report(a); err != nil {
			return err
		}
	}
	return p.w.Flush()
}

func (p *protocol) report(a Answer) error {
	if a.Reason != "" {
		return p.w.Data([]byte("ng " + a.Ref + " " + Clean(a.Reason)))
	}
	lines := []string{"ok " + a.Ref}
	for _, o := range []struct{ name, value string }{
		{"refname", a.NewRef}, {"old-oid", string(a.Old)}, {"new-oid", string(a.New)},
	} {
		if o.value != "" {
			lines = append(lines, "option "+o.name+" "+Clean(o.value))
		}
	}
	if a.Forced {
		lines = append(lines, "option forced-update")
	}
	for _, line := range lines {
		if err := p.w.Data([]byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// Clean makes text fit for git's status line: one line of UTF-8 without control characters, at most 1000
// bytes, never empty.
func Clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "refused"
	}
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func stack() string { return string(debug.Stack()) }
