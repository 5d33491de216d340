package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"lain.internal/lain/lain/fault"
)

// Severity says what a finding means for a push.
type Severity string

const (
	Error     Severity = "error"      // the file cannot be used
	Warning   Severity = "warning"    // it can, but probably not as its writer thinks
	NotServed Severity = "not served" // a key of LAIN's that has no effect yet
)

// Finding is one remark about a lain.yaml.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`     // 1-based; 0: the file as a whole
	Column   int      `json:"column"`   // 1-based; 0: none
	Sentence string   `json:"sentence"` // one line, without a full stop at its end, safe to show
	Hint     string   `json:"hint"`     // what to do; may be empty
	Excerpt  string   `json:"excerpt"`  // the line; may be empty
}

// Fault is the finding as an error of kind Invalid, for drawing or returning.
func (f Finding) Fault() *fault.Fault {
	return &fault.Fault{Kind: fault.Invalid, Sentence: f.Sentence, File: f.File, Line: f.Line,
		Column: f.Column, Excerpt: f.Excerpt, Hint: f.Hint}
}

// String is the place and the sentence: "lain.yaml:14: volumes is not served yet and is ignored".
func (f Finding) String() string { return f.Fault().Error() }

// Text is one line for programs that jump to a place: "lain.yaml:14:3: warning: web has no key prot, ...". Line and
// column are 1 where there are none.
func (f Finding) Text() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.File, max(f.Line, 1), max(f.Column, 1), f.Severity, f.Sentence)
}

// Findings are remarks in the order of the file.
type Findings []Finding

// Err is nil when there is no error among them, or a *fault.Fault for the first one.
func (fs Findings) Err() error {
	for _, f := range fs {
		if f.Severity == Error {
			return f.Fault()
		}
	}
	return nil
}

// Only are the findings of one severity.
func (fs Findings) Only(s Severity) Findings {
	return slices.DeleteFunc(slices.Clone(fs), func(f Finding) bool { return f.Severity != s })
}

// maxFindings of each severity are kept: a hostile file must not fill a terminal.
const maxFindings = 50

// notebook collects findings and cuts them short.
type notebook struct {
	src   *source
	found Findings
	count map[Severity]int
}

func (n *notebook) add(s Severity, at place, sentence, hint string) {
	n.count[s]++
	if n.count[s] > maxFindings {
		return
	}
	n.found = append(n.found, Finding{Severity: s, File: n.src.file, Line: at.line, Column: at.column,
		Sentence: sentence, Hint: hint, Excerpt: n.src.line(at.line)})
}

// full says whether another finding of a severity would only be counted.
func (n *notebook) full(s Severity) bool { return n.count[s] >= maxFindings }

// result is what was found, sorted by place, with a word on what was left out.
func (n *notebook) result() Findings {
	slices.SortStableFunc(n.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for _, s := range []Severity{Error, Warning, NotServed} {
		if more := n.count[s] - maxFindings; more > 0 {
			n.found = append(n.found, Finding{Severity: s, File: n.src.file,
				Sentence: fmt.Sprintf("%d more findings (%s) are not shown", more, s)})
		}
	}
	return n.found
}
