package engine

import (
	"bytes"
	"io"

	"lain.internal/lain/helper/enter"
)

// marked hands on what comes before enter's mark, and drops the mark and what follows it.
type marked struct {
	w     io.Writer
	mark  []byte
	held  []byte // may be the beginning of the mark
	ended func() // called once, at the mark; nil afterwards
}

func newMarked(w io.Writer, ticket string, ended func()) *marked {
	return &marked{w: w, mark: []byte(enter.Mark(ticket)), ended: ended}
}

// Write is never short: what is held back counts as written.
func (m *marked) Write(p []byte) (int, error) {
	if m.ended == nil {
		return len(p), nil
	}
	text := append(m.held, p...)
	before, _, found := bytes.Cut(text, m.mark)
	if !found {
		before = text[:len(text)-m.begun(text)]
	}
	m.held = bytes.Clone(text[len(before):])
	if _, err := m.w.Write(before); err != nil {
		return 0, err
	}
	if found {
		m.ended()
		m.ended = nil
	}
	return len(p), nil
}

// begun is how many bytes at the end of text are the beginning of the mark.
func (m *marked) begun(text []byte) int {
	for n := min(len(text), len(m.mark)-1); n > 0; n-- {
		if bytes.HasSuffix(text, m.mark[:n]) {
			return n
		}
	}
	return 0
}
