package manifest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// whole reads a number, written as one or as decimal text. ok is false when it is none; that is told of.
func (r *reader) whole(v *node, what string) (n int64, ok bool) {
	switch v.kind {
	case integer:
		r.odd(v, what)
		return v.number, true
	case text:
		if n, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64); err == nil {
			return n, true
		}
		r.fail(v, "", "%s must be a whole number, and this is %s", what, show(v.text))
	default:
		r.fail(v, "", "%s must be a whole number, and this is %s", what, v.kind)
	}
	return 0, false
}

// odd warns of a number that is not what it looks like.
func (r *reader) odd(v *node, what string) {
	digits := strings.TrimLeft(strings.ReplaceAll(v.text, "_", ""), "+-")
	if strings.Contains(digits, ":") || len(digits) > 1 && digits[0] == '0' {
		r.warn(v, "%s: in YAML 1.1 %s is the number %d: quote it, or write the number", what, show(v.text), v.number)
	}
}

// between reads a number within limits; outside them it is an error.
func (r *reader) between(v *node, what string, low, high int64) (int, bool) {
	n, ok := r.whole(v, what)
	if ok && (n < low || n > high) {
		r.fail(v, "", "%s must be from %d to %d, and this is %d", what, low, high, n)
		return 0, false
	}
	return int(n), ok
}

// clamped reads a number and moves it to the nearer limit with a warning, as LAIN did in silence.
func (r *reader) clamped(v *node, what string, n, low, high int64) int64 {
	c := min(max(n, low), high)
	if c != n {
		r.warn(v, "%s goes from %d to %d: %d is used", what, low, high, c)
	}
	return c
}

// seconds reads a duration: a number of seconds, or text like 90s, 1m30s or "2 minutes". It is rounded up to
// seconds.
func (r *reader) seconds(v *node, what string) (int64, bool) {
	if v.kind == text || v.kind == fraction {
		if d, ok := span(v.text); ok {
			return int64((d + time.Second - 1) / time.Second), true
		}
		if _, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64); err != nil {
			r.fail(v, "Try: "+lastWord(what)+": 30", "%s must be a number of seconds or a time like 90s, and this is %s", what, show(v.text))
			return 0, false
		}
	}
	return r.whole(v, what)
}

var spanPattern = regexp.MustCompile(`^([0-9]{1,6}(?:\.[0-9]{1,3})?)[ \t]*([a-z]*)$`)

// spanUnits are those of the words that ein-plus took, by their first letter.
var spanUnits = map[string]time.Duration{"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}

var spanWords = []string{"", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes",
	"h", "hour", "hours", "d", "day", "days", "w", "week", "weeks"}

// span reads a time in Go's form, or a number with a word. Less than nothing, and more than a year, is none.
func span(s string) (time.Duration, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	d, err := time.ParseDuration(s)
	if err != nil {
		m := spanPattern.FindStringSubmatch(s)
		if m == nil || !slices.Contains(spanWords, m[2]) {
			return 0, false
		}
		number, _ := strconv.ParseFloat(m[1], 64)
		d = time.Duration(number * float64(spanUnits[m[2][:min(1, len(m[2]))]]))
	}
	return d, d >= 0 && d <= 366*24*time.Hour
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,12})(\.[0-9]{1,3})?([kmgt]?)(i?b)?$`)

// The limits of memory: the engine's own floor, and more than any machine has.
const (
	minMemory = 6 << 20
	maxMemory = 64 << 40
)

// size reads a number of bytes with a binary unit: 256m, 1.5g, 64MiB.
func (r *reader) size(v *node, what string) int64 {
	m := sizePattern.FindStringSubmatch(strings.ReplaceAll(strings.ToLower(v.text), " ", ""))
	if m == nil || !v.scalar() {
		r.fail(v, "Try: memory: 256m", "%s must be a size like 256m or 1g, and this is %s", what, show(v.text))
		return 0
	}
	number, _ := strconv.ParseFloat(m[1]+m[2], 64)
	shift := map[string]int{"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[m[3]]
	bytes := number * float64(int64(1)<<shift)
	if bytes < minMemory || bytes > maxMemory {
		r.fail(v, "A number without a unit counts bytes. Try: memory: 256m", "%s must be from 6m to 64t, and this is %s", what, show(v.text))
		return 0
	}
	return int64(bytes)
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
