// Package redact takes known values out of text that people will read: run logs, reports, evidence of failures.
//
// It knows the values themselves and the forms in which programs print them: base64 in either alphabet and at
// any offset within something larger, hex, percent-encoded, quoted. Of a value of several lines every long line
// counts by itself, since logs come line by line. What is shorter than Least bytes is left alone: the text would
// be full of holes, and the value was no secret.
//
// It does not guess: a value that was cut, compressed or encrypted by a program is not found. Redaction is the
// last net, and not the reason why values are not in logs.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// Mark stands where a value was.
const Mark = "[redacted]"

// Least is the length, in bytes, from which a value is looked for. Lines of a value of several lines count from
// leastLine on: a line like "port: 8080" in a file of settings is not what makes the file secret.
const (
	Least     = 6
	leastLine = 16
)

// Redactor finds values in one pass, whatever their number. The zero value, and nil, find nothing. It is safe
// for concurrent use and never changes.
type Redactor struct {
	forms map[string][]string // by their first Least bytes, the longest first
	first [1 << 16]bool       // which two bytes a form begins with
}

// New makes a Redactor. It keeps parts of values in memory.
func New(values []string) *Redactor {
	r := &Redactor{forms: map[string][]string{}}
	seen := map[string]bool{}
	for _, value := range values {
		for _, part := range parts(value) {
			for _, form := range forms(part) {
				if len(form) >= Least && !seen[form] {
					seen[form] = true
					r.add(form)
				}
			}
		}
	}
	return r
}

func (r *Redactor) add(form string) {
	key := form[:Least]
	same := r.forms[key]
	at := 0
	for at < len(same) && len(same[at]) >= len(form) {
		at++
	}
	r.forms[key] = append(same[:at:at], append([]string{form}, same[at:]...)...)
	r.first[pair(form)] = true
}

func pair(s string) int { return int(s[0])<<8 | int(s[1]) }

// Text is text with every value replaced by Mark. Text without any is returned as it is.
func (r *Redactor) Text(text string) string {
	if r == nil || len(r.forms) == 0 {
		return text
	}
	var out strings.Builder
	kept := 0
	for i := 0; i+Least <= len(text); {
		n := r.at(text[i:])
		if n == 0 {
			i++
			continue
		}
		out.WriteString(text[kept:i])
		out.WriteString(Mark)
		i += n
		kept = i
	}
	if kept == 0 {
		return text
	}
	out.WriteString(text[kept:])
	return out.String()
}

// at is the length of the longest value that text begins with, 0 for none.
func (r *Redactor) at(text string) int {
	if !r.first[pair(text)] {
		return 0
	}
	for _, form := range r.forms[text[:Least]] {
		if strings.HasPrefix(text, form) {
			return len(form)
		}
	}
	return 0
}

// parts are the pieces of a value that a log would show: the whole without the newline at its end, and its
// long lines.
func parts(value string) []string {
	whole := strings.Trim(value, "\r\n")
	parts := []string{whole}
	if !strings.Contains(whole, "\n") {
		return parts
	}
	for line := range strings.SplitSeq(whole, "\n") {
		if line = strings.TrimSpace(line); len(line) >= leastLine {
			parts = append(parts, line)
		}
	}
	return parts
}

// forms are the ways in which a part may be written.
func forms(part string) []string {
	if len(part) < Least {
		return nil
	}
	quoted := strconv.Quote(part)
	all := []string{part, hex.EncodeToString([]byte(part)), strings.ToUpper(hex.EncodeToString([]byte(part))),
		url.QueryEscape(part), url.PathEscape(part), quoted[1 : len(quoted)-1]}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			all = append(all, inner(e, part, offset))
		}
	}
	return all
}

// inner is what part always looks like in base64 when it begins offset bytes (mod 3) into what is encoded: the
// digits at its ends also depend on its neighbours, and are left out.
func inner(e *base64.Encoding, part string, offset int) string {
	text := e.EncodeToString([]byte(strings.Repeat("\x00", offset) + part))
	end := (offset + len(part)) * 8 / 6
	return text[(offset*8+5)/6 : end]
}
