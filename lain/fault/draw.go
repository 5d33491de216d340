package fault

import (
	"fmt"
	"strings"
)

// Lines are the lines a person sees of an error: the place and the sentence, the line of the file it speaks
// of, the hint. They have no colour and no indentation of ours; nil gives none. An error that is not a fault
// says "internal error" only.
func Lines(err error) []string {
	f := Of(err)
	if f == nil {
		return nil
	}
	lines := []string{strings.Join(strings.FieldsFunc(f.Error(), isBreak), " ")}
	if excerpt, _, _ := strings.Cut(f.Excerpt, "\n"); excerpt != "" && f.Line > 0 {
		lines = append(lines, fmt.Sprintf(">>> %d | %s", f.Line, strings.TrimRight(excerpt, "\r")))
	}
	for line := range strings.SplitSeq(f.Hint, "\n") {
		if line = strings.TrimRight(line, " \r"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func isBreak(r rune) bool { return r == '\n' || r == '\r' }
