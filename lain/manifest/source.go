package manifest

import (
	"strconv"
	"strings"
	"unicode"
)

// source is the text of a lain.yaml, kept for excerpts.
type source struct {
	file  string
	lines []string
}

func newSource(file string, data []byte) *source {
	return &source{file: file, lines: strings.Split(string(data), "\n")}
}

// maxExcerpt is how many characters of a line are shown.
const maxExcerpt = 120

// line is the text of a 1-based line, cut and cleaned for a terminal; "" when there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	runes := []rune(strings.TrimRightFunc(clipBytes(s.lines[n-1], 4*maxExcerpt), unicode.IsSpace))
	if len(runes) > maxExcerpt {
		runes = append(runes[:maxExcerpt:maxExcerpt], '…')
	}
	return strings.Map(visible, string(runes))
}

// visible replaces what a terminal would not show as a character.
func visible(r rune) rune {
	if r == '\t' {
		return ' '
	}
	if !unicode.IsPrint(r) {
		return '\uFFFD'
	}
	return r
}

// show puts a foreign text into a sentence: plain where it is harmless, quoted and clipped where not.
func show(s string) string {
	if s != "" && len(s) <= 64 && strings.Trim(s, wordCharacters) == "" {
		return s
	}
	if len(s) > 64 {
		s = clipBytes(s, 64) + "…"
	}
	return strconv.Quote(s)
}

const wordCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/$:@"

// clipBytes cuts s to at most n bytes, at a border between characters.
func clipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
