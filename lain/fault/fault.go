// Package fault makes errors that a person reads.
//
// A fault has two readers: the person at the terminal gets a kind, one sentence, the place in a file it
// speaks of and a hint what to do; the log gets the cause as well. An error that is not a fault is shown
// as "internal error" outside and kept whole inside.
package fault

import (
	"errors"
	"fmt"
)

// Kind says which way out there is, and picks the exit code.
type Kind string

const (
	Invalid     Kind = "invalid"     // the input is wrong: change it
	NotFound    Kind = "not_found"   // no such thing, or not for these eyes
	Denied      Kind = "denied"      // known, but not allowed
	Conflict    Kind = "conflict"    // something else holds or changed it
	Failed      Kind = "failed"      // the person's own program failed: build, test, start
	Cancelled   Kind = "cancelled"   // somebody stopped it
	Unavailable Kind = "unavailable" // a part of the server is away: try again
	Internal    Kind = "internal"    // our mistake
)

// Fault is an error for a person. Sentence is one line without a full stop at the end and safe to show.
type Fault struct {
	Kind     Kind
	Sentence string
	File     string // "lain.yaml", or empty
	Line     int    // 1-based; 0: none
	Column   int    // 1-based; 0: none
	Excerpt  string // the line itself, or empty
	Hint     string // what to do next; may hold several lines
	Cause    error  // for the log only; may be nil
}

// New makes a fault with a formatted sentence. A %w operand becomes the cause.
func New(kind Kind, format string, args ...any) *Fault {
	err := fmt.Errorf(format, args...)
	return &Fault{Kind: kind, Sentence: err.Error(), Cause: errors.Unwrap(err)}
}

// Hide makes a fault whose cause is for the log only.
func Hide(kind Kind, cause error, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Sentence: fmt.Sprintf(format, args...), Cause: cause}
}

// At returns a copy that points into a file. Line and column are 1-based; column 0 means the whole line.
func (f Fault) At(file string, line, column int, excerpt string) *Fault {
	f.File, f.Line, f.Column, f.Excerpt = file, line, column, excerpt
	return &f
}

// WithHint returns a copy that says what to do.
func (f Fault) WithHint(format string, args ...any) *Fault {
	f.Hint = fmt.Sprintf(format, args...)
	return &f
}

// Error is the place and the sentence, for a person: "lain.yaml:14: web.api has no mountpoint".
func (f *Fault) Error() string {
	if f.File == "" {
		return f.Sentence
	}
	if f.Line == 0 {
		return f.File + ": " + f.Sentence
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Sentence)
}

// Unwrap gives the cause to errors.Is and errors.As.
func (f *Fault) Unwrap() error { return f.Cause }

// Of finds the fault in err's chain. Any other error becomes an internal one that names no detail;
// nil stays nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Internal, Sentence: "internal error", Cause: err,
		Hint: "The server's log has the details."}
}

// ExitCode is what a verb ends with for this kind: 0 only for nil. The codes follow sysexits.h where it
// has a word for it.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch Of(err).Kind {
	case Invalid:
		return 64
	case NotFound:
		return 66
	case Denied:
		return 77
	case Conflict, Unavailable:
		return 75
	case Internal:
		return 70
	case Cancelled:
		return 130
	default:
		return 1
	}
}
