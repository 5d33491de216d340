package redact

import (
	"bytes"
	"io"
)

// maxHeld is the longest piece of a line that a Writer holds back, in bytes. A value that lies across the border
// of two such pieces is not found.
const maxHeld = 1 << 20

// Writer redacts what is written to it line by line, so that a value is found although it came in two writes.
type Writer struct {
	r    *Redactor
	to   io.Writer
	held []byte
}

// NewWriter makes a Writer to w. The caller flushes it at the end.
func (r *Redactor) NewWriter(w io.Writer) *Writer { return &Writer{r: r, to: w} }

// Write passes on all whole lines and holds back the rest. It takes all of p unless the writer below fails.
func (w *Writer) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	end := bytes.LastIndexByte(w.held, '\n') + 1
	if end == 0 && len(w.held) > maxHeld {
		end = len(w.held)
	}
	if end == 0 {
		return len(p), nil
	}
	return len(p), w.pass(end)
}

// Flush passes on what is held back: the beginning of a line that never ended.
func (w *Writer) Flush() error { return w.pass(len(w.held)) }

func (w *Writer) pass(end int) error {
	if end == 0 {
		return nil
	}
	text := w.r.Text(string(w.held[:end]))
	w.held = append(w.held[:0], w.held[end:]...)
	_, err := io.WriteString(w.to, text)
	return err
}
