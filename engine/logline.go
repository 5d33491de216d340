package engine

import (
	"bytes"
	"strings"
	"time"
)

// LogLine is one line that an instance wrote.
type LogLine struct {
	At       time.Time
	Proc     string
	Instance int // 1..N; 0 when it is not known
	Task     string
	Stderr   bool
	Text     string // without its newline; foreign bytes as they came
}

// parseEntry takes apart what the engine writes for one entry of a log with timestamps: time, text. One of another form is all
// text.
func parseEntry(raw string) LogLine {
	stamp, text, ok := strings.Cut(raw, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if !ok || err != nil {
		return LogLine{Text: raw}
	}
	return LogLine{At: at, Text: text}
}

// entryWriter hands on whole lines of a log with timestamps. Each Write is one entry, as stdcopy has it: a line, or with a line
// beyond 16 KiB a piece of it with a time of its own and no newline (the engine's daemon/logger/copier.go). A line beyond
// maxLine bytes is handed on in pieces.
type entryWriter struct {
	held *LogLine // what came of a line that has not ended
	line func(LogLine) error
}

func (w *entryWriter) Write(p []byte) (int, error) {
	raw, ended := strings.CutSuffix(string(p), "\n")
	l := parseEntry(raw)
	if w.held != nil {
		l = LogLine{At: w.held.At, Text: w.held.Text + l.Text}
	}
	w.held = &l
	if ended || len(l.Text) >= maxLine {
		return len(p), w.flush()
	}
	return len(p), nil
}

func (w *entryWriter) flush() error {
	if w.held == nil {
		return nil
	}
	l := *w.held
	w.held = nil
	return w.line(l)
}

// lineWriter hands on whole lines, and what is left at the end through flush. A line beyond maxLine bytes
// is handed on in pieces, so that a program without newlines cannot fill our memory.
type lineWriter struct {
	held []byte
	line func(string) error
}

const maxLine = 64 << 10

func (w *lineWriter) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	for {
		i := bytes.IndexByte(w.held, '\n')
		if i < 0 && len(w.held) < maxLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(w.held)
		}
		if err := w.line(string(w.held[:i])); err != nil {
			return 0, err
		}
		w.held = w.held[min(i+1, len(w.held)):]
	}
}

func (w *lineWriter) flush() error {
	if len(w.held) == 0 {
		return nil
	}
	last := string(w.held)
	w.held = nil
	return w.line(last)
}
