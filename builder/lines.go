package builder

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxLine is where a line that does not end is cut in pieces.
const maxLine = 64 << 10

// liner makes whole lines of the pieces that a stream arrives in. Of a line that was written over with
// carriage returns, as progress bars do, the last version is kept.
type liner struct {
	emit func(string)
	buf  []byte
}

// Write takes the next piece.
func (l *liner) Write(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.buf = append(l.buf, p[:i]...)
		l.line()
		p = p[i+1:]
	}
	l.buf = append(l.buf, p...)
	l.bound()
}

// Flush ends a line that has no newline.
func (l *liner) Flush() {
	if len(l.buf) > 0 {
		l.line()
	}
}

func (l *liner) line() {
	text := strings.TrimRight(string(l.buf), "\r")
	l.buf = l.buf[:0]
	text = text[strings.LastIndexByte(text, '\r')+1:]
	for len(text) > maxLine {
		cut := cutPoint(text)
		l.emit(text[:cut])
		text = text[cut:]
	}
	l.emit(text)
}

// bound keeps what is held back small: versions that were written over go, and a very long line is cut.
func (l *liner) bound() {
	if len(l.buf) <= maxLine {
		return
	}
	if i := bytes.LastIndexByte(bytes.TrimRight(l.buf, "\r"), '\r'); i >= 0 {
		l.buf = append(l.buf[:0], l.buf[i+1:]...)
	}
	for len(l.buf) > maxLine {
		cut := cutPoint(string(l.buf[:maxLine+1]))
		l.emit(string(l.buf[:cut]))
		l.buf = append(l.buf[:0], l.buf[cut:]...)
	}
}

// cutPoint is the last place not after maxLine that splits no character.
func cutPoint(text string) int {
	cut := maxLine
	for cut > maxLine-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return cut
}
