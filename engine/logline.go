package engine

import (
	"bytes"
	"net/url"
	"strings"
	"time"
)

// LogLine is one line that an instance wrote.
type LogLine struct {
	At       time.Time
	Proc     string
	Instance int // 1..N; 0 when the task is no longer known
	Task     string
	Stderr   bool
	Text     string // without its newline; foreign bytes as they came
}

// taskDetail is the attribute by which the engine names the task of a line (daemon/cluster/services.go).
const taskDetail = "com.docker.swarm.task.id"

// parseLine takes apart what ServiceLogs writes with timestamps and details: time, attributes, text. A
// line of another form is all text.
func parseLine(raw string) LogLine {
	stamp, rest, ok := strings.Cut(raw, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if !ok || err != nil {
		return LogLine{Text: raw}
	}
	details, text, _ := strings.Cut(rest, " ")
	task, ok := detail(details, taskDetail)
	if !ok {
		return LogLine{At: at, Text: rest}
	}
	return LogLine{At: at, Task: task, Text: text}
}

// detail finds one of the comma-separated, query-escaped k=v pairs.
func detail(pairs, key string) (string, bool) {
	for pair := range strings.SplitSeq(pairs, ",") {
		k, v, ok := strings.Cut(pair, "=")
		if !ok || k != key {
			continue
		}
		v, err := url.QueryUnescape(v)
		return v, err == nil
	}
	return "", false
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
