package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// field is one of the five of a schedule: its bounds, and the names its numbers have from low on.
type field struct {
	name      string
	low, high int
	names     []string
}

var scheduleFields = []field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var scheduleWords = []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}

// badSchedule says what is wrong with the five fields of a crontab line, or is "".
func badSchedule(s string) string {
	parts := strings.Fields(s)
	if len(parts) == 1 && slices.Contains(scheduleWords, parts[0]) {
		return ""
	}
	if len(parts) != len(scheduleFields) {
		return "it takes five fields, minute to day of the week, and this has " + strconv.Itoa(len(parts))
	}
	for i, f := range scheduleFields {
		for item := range strings.SplitSeq(parts[i], ",") {
			if !f.takes(item) {
				return "the " + f.name + " cannot be " + show(item)
			}
		}
	}
	return ""
}

// takes reads *, N, N-M, each with or without /STEP.
func (f field) takes(item string) bool {
	span, step, stepped := strings.Cut(item, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1 || n > f.high) {
		return false
	}
	if span == "*" || span == "?" {
		return true
	}
	from, to, ranged := strings.Cut(span, "-")
	a, ok := f.number(from)
	if !ranged {
		return ok
	}
	b, also := f.number(to)
	return ok && also && a <= b
}

func (f field) number(s string) (int, bool) {
	if i := slices.Index(f.names, strings.ToLower(s)); i >= 0 {
		return f.low + i, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && s[0] != '+' && n >= f.low && n <= f.high
}
