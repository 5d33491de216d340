package api

import (
	"strings"

	"lain.internal/lain/lain/fault"
)

// parseDotenv reads NAME=value lines as .env files have them: empty lines and lines that begin with # are passed
// over, "export " may stand in front, and a value may stand in single quotes (as it is) or double quotes (with
// \n, \t, \", \\ and \$). Nothing is expanded: a $ in a password stays a $. A name that comes twice is an error.
func parseDotenv(text string) (map[string]string, error) {
	values := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, badLine(i, "has no NAME=value")
		}
		if _, twice := values[name]; twice {
			return nil, badLine(i, "names "+clipName(name)+" a second time")
		}
		value, ok = unquote(strings.TrimSpace(value))
		if !ok {
			return nil, badLine(i, "has a quote that is not closed, or text behind it")
		}
		values[name] = value
	}
	if len(values) == 0 {
		return nil, fault.New(fault.Invalid, "standard input has no NAME=value lines")
	}
	return values, nil
}

func badLine(i int, what string) error {
	return fault.New(fault.Invalid, "line %d of standard input %s", i+1, what).WithHint("A line is: NAME=value")
}

func clipName(s string) string { return s[:min(len(s), 64)] }

var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\"`, `"`, `\$`, "$")

func unquote(v string) (string, bool) {
	if v == "" || v[0] != '\'' && v[0] != '"' {
		return v, true
	}
	if len(v) < 2 || v[len(v)-1] != v[0] {
		return "", false
	}
	inner := v[1 : len(v)-1]
	if v[0] == '\'' {
		return inner, !strings.Contains(inner, "'")
	}
	return escapes.Replace(inner), !openQuote(inner)
}

// openQuote reports a double quote without a backslash, or a backslash that would escape the closing one.
func openQuote(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return true
			}
		case '"':
			return true
		}
	}
	return false
}
