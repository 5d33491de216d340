package source

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// badName says why a path may not be unpacked, or "".
func badName(name string) string {
	switch {
	case name == "" || name == ".":
		return "it is empty"
	case len(name) > 4096:
		return "it is longer than 4096 bytes"
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.HasPrefix(name, "/") || path.Clean(name) != name:
		return "it is not a plain path below the repository"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it has control characters"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "it leaves the repository"
		case strings.EqualFold(part, ".git"):
			return "it is inside a .git directory"
		case len(part) > 255:
			return "a part of it is longer than 255 bytes"
		}
	}
	return ""
}

// clip keeps a hostile name from filling a sentence or steering a terminal.
func clip(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
	if len(name) > 120 {
		name = strings.ToValidUTF8(name[:120], "") + "…"
	}
	return name
}
