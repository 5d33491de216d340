// Package envfile reads config values from a file of KEY=VALUE lines, as people keep them in .env.
//
// Empty lines and lines that begin with # are passed over, and so is "export " before a name. A value in single
// quotes is taken as it is, one in double quotes knows \n, \t, \", \\ and \$; both may go over several lines. A
// value without quotes ends with the line, or before " #", and has no blanks at its ends. Nothing is expanded.
package envfile

import (
	"strconv"
	"strings"

	"lain.internal/lain/helper/start"
	"lain.internal/lain/lain/fault"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// Parse reads a file. A name that is there twice, or that cannot be a config value, refuses it whole. Errors are
// faults of kind Invalid that name the line and never the value.
func Parse(file []byte) (map[string]string, error) {
	if len(file) > maxFile {
		return nil, fault.New(fault.Invalid, "the file of config values is larger than %d bytes", maxFile)
	}
	e := reader{rest: strings.ReplaceAll(strings.TrimPrefix(string(file), "\ufeff"), "\r\n", "\n"), line: 1, values: map[string]string{}}
	for e.rest != "" {
		if err := e.next(); err != nil {
			return nil, err
		}
	}
	return e.values, nil
}

type reader struct {
	rest   string
	line   int // of rest, from 1
	values map[string]string
}

// take is the next n bytes.
func (e *reader) take(n int) string {
	text := e.rest[:n]
	e.rest = e.rest[n:]
	e.line += strings.Count(text, "\n")
	return text
}

// upTo is how far it is to the next of what, or to the end.
func (e *reader) upTo(what string) int {
	if i := strings.Index(e.rest, what); i >= 0 {
		return i
	}
	return len(e.rest)
}

func (e *reader) wrong(what string) error {
	return fault.New(fault.Invalid, "line %d of the file of config values %s", e.line, what).WithHint("A line is KEY=VALUE.")
}

// next reads one line, or one value of several.
func (e *reader) next() error {
	end := e.upTo("\n")
	if text := strings.TrimSpace(e.rest[:end]); text == "" || text[0] == '#' {
		e.take(min(end+1, len(e.rest)))
		return nil
	}
	equals := e.upTo("=")
	if equals >= end {
		return e.wrong("has no =")
	}
	key := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(e.take(equals)), "export "))
	e.take(1)
	if _, twice := e.values[key]; twice {
		return e.wrong("names " + strconv.Quote(key[:min(len(key), 64)]) + " a second time")
	}
	value, err := e.value()
	if err != nil {
		return err
	}
	if err := start.CheckConfig(key, value); err != nil {
		return fault.New(fault.Invalid, "%s", err)
	}
	e.values[key] = value
	return nil
}

func (e *reader) value() (string, error) {
	e.take(len(e.rest) - len(strings.TrimLeft(e.rest, " \t")))
	if e.rest == "" || e.rest[0] != '\'' && e.rest[0] != '"' {
		text := e.take(e.upTo("\n"))
		e.take(min(1, len(e.rest)))
		if comment := strings.Index(text, " #"); comment >= 0 {
			text = text[:comment]
		}
		return strings.TrimSpace(text), nil
	}
	value, err := e.quoted(e.take(1))
	if err != nil {
		return "", err
	}
	if after := strings.TrimSpace(e.rest[:e.upTo("\n")]); after != "" && after[0] != '#' {
		return "", e.wrong("has something after its closing quote")
	}
	e.take(e.upTo("\n"))
	e.take(min(1, len(e.rest)))
	return value, nil
}

// quoted reads up to the closing quote.
func (e *reader) quoted(quote string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(e.rest); i++ {
		switch c := e.rest[i]; {
		case c == quote[0]:
			e.take(i + 1)
			return out.String(), nil
		case c == '\\' && quote == `"` && i+1 < len(e.rest) && strings.IndexByte(`nt"\$`, e.rest[i+1]) >= 0:
			i++
			out.WriteByte(unescaped(e.rest[i]))
		default:
			out.WriteByte(c)
		}
	}
	return "", e.wrong("has a quote that is never closed")
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	}
	return c
}
