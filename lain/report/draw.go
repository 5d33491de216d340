package report

import (
	"strings"
	"unicode/utf8"
)

// maxLine bounds what one event may put on a terminal, in bytes.
const maxLine = 4096

// indents are the signs of the Heroku family: arrows for stages, seven spaces for detail.
var indents = map[Kind]string{
	Stage:   "-----> ",
	Detail:  "       ",
	Output:  "       ",
	Warning: " !     ",
	Trouble: " !     ",
	Result:  "=====> ",
}

// Draw is the terminal form of an event: whole lines, each ended by a newline, with no control byte but
// tab and colour (SGR) that a program printed itself. Colour is closed again at the end of its line.
func Draw(e Event) string {
	var b strings.Builder
	indent, known := indents[e.Kind]
	if !known {
		indent = indents[Detail]
	}
	for i, line := range strings.Split(e.Text, "\n") {
		if i > 0 && (e.Kind == Stage || e.Kind == Result || e.Kind == Trouble || e.Kind == Warning) {
			indent = indents[Detail]
		}
		b.WriteString(indent)
		b.WriteString(Clean(line))
		b.WriteByte('\n')
	}
	return b.String()
}

// Clean makes one line of foreign text fit for a terminal: what a carriage return overwrote is dropped,
// escape sequences but colour are removed, other control bytes become "�", and what is beyond 4096 bytes is cut.
func Clean(line string) string {
	line = strings.TrimSuffix(line, "\r")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	line = clip(line) // before the cleaning: a cut must not leave half an escape sequence
	if isPlain(line) {
		return line
	}
	return cleanRunes(line)
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

func cleanRunes(s string) string {
	var b strings.Builder
	coloured := false
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			n, colour := escape(s[i:])
			if colour {
				b.WriteString(s[i : i+n])
				coloured = true
			}
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		b.WriteRune(visible(r, n))
		i += n
	}
	if coloured {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// visible replaces what could steer a terminal or fool a reader: C0 and C1 controls, broken UTF-8, and the
// Unicode marks that reorder text.
func visible(r rune, size int) rune {
	switch {
	case r == '\t':
		return r
	case r < 0x20, r >= 0x7f && r < 0xa0, r == utf8.RuneError && size == 1:
		return utf8.RuneError
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return utf8.RuneError
	}
	return r
}

// escape measures the escape sequence at the start of s (ECMA-48) and tells whether it only sets colour.
func escape(s string) (n int, colour bool) {
	if len(s) < 2 {
		return 1, false
	}
	switch s[1] {
	case '[': // CSI: parameters 0x30-0x3f, intermediates 0x20-0x2f, final 0x40-0x7e
		for i := 2; i < len(s); i++ {
			switch c := s[i]; {
			case c >= 0x40 && c <= 0x7e:
				return i + 1, c == 'm' && i < 32 && onlyDigits(s[2:i])
			case c < 0x20 || c > 0x3f:
				return i, false
			}
		}
		return len(s), false
	case ']', 'P', 'X', '^', '_': // strings: up to BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1, false
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2, false
			}
		}
		return len(s), false
	}
	return 2, false
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return true
}

// clip cuts at a character's border and says that it did.
func clip(s string) string {
	if len(s) <= maxLine {
		return s
	}
	cut := maxLine
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// Line makes s fit for a place that holds one line only, such as git's status line: newlines and control
// bytes become spaces, at most max bytes.
func Line(s string, max int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if visible(r, 2) == utf8.RuneError || r == '\t' {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) <= max {
		return s
	}
	cut := max - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
