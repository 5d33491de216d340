// Package runlog keeps what a run told people: a file of events, one JSON object a line.
//
// The run writes and never waits for a reader; any number of followers read the file from its first line
// and then as it grows, each at its own speed.
package runlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lain.internal/lain/lain/report"
)

// flushAfter is how long an event may stay in memory before followers see it.
const flushAfter = 20 * time.Millisecond

// maxKept is how much stays in memory while nothing can be written, in bytes.
const maxKept = 1 << 20

// Log is the open log of a run. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	file    *os.File
	buf     []byte
	timer   *time.Timer // pending flush, nil if none
	grown   chan struct{}
	closed  bool
	stuck   bool // the last write failed
	failure error
}

// Create opens the log at path for writing, behind what a former process wrote; folders are made. A line
// that a killed process left half written is ended first.
func Create(path string) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of a run's log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a run's log: %w", err)
	}
	l := &Log{file: f, grown: make(chan struct{})}
	if halfLine(f) {
		l.buf = append(l.buf, '\n')
	}
	return l, nil
}

func halfLine(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// Report adds an event; its time is set when it has none. It never blocks on a reader. After Close it does
// nothing.
func (l *Log) Report(e report.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	line, err := json.Marshal(e)
	if err != nil { // an Event holds nothing that can fail
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.buf = append(append(l.buf, line...), '\n')
	if len(l.buf) > maxKept {
		l.trim()
	}
	if len(l.buf) >= 64<<10 && !l.stuck {
		l.flush()
	} else if l.timer == nil {
		l.timer = time.AfterFunc(flushAfter, l.flushLater)
	}
}

// Close writes what is left, tells followers that this was all, and returns the first write that failed, though
// what it held may have been written later. A second call does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.failure
	}
	l.flush()
	l.closed = true
	close(l.grown)
	if err := l.file.Close(); err != nil && l.failure == nil {
		l.failure = err
	}
	return l.failure
}

func (l *Log) flushLater() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	if !l.closed {
		l.flush()
	}
}

// flush writes the buffer and wakes the followers. The caller holds mu.
func (l *Log) flush() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.buf) == 0 {
		return
	}
	n, err := l.file.Write(l.buf)
	l.stuck = err != nil
	if err != nil {
		l.keep(n, err)
	} else {
		l.buf = l.buf[:0]
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// keep holds what could not be written behind the first n bytes for a later flush: a full disk may have room again
// by then. The caller holds mu.
func (l *Log) keep(n int, err error) {
	if l.failure == nil {
		l.failure = fmt.Errorf("write a run's log: %w", err)
	}
	if n > 0 {
		l.buf = l.buf[:copy(l.buf, l.buf[n:])]
	}
}

// trim gives up lines in the middle of what waits for room, so that no more than half of maxKept is left. The first
// one stays, since a part of it may have been written. The caller holds mu.
func (l *Log) trim() {
	end := bytes.IndexByte(l.buf, '\n') + 1
	from := len(l.buf) - maxKept/2
	from += bytes.IndexByte(l.buf[from:], '\n') + 1
	l.buf = append(l.buf[:end], l.buf[max(from, end):]...)
}

// watch returns a channel that closes when more was written, and whether no more will be.
func (l *Log) watch() (<-chan struct{}, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grown, l.closed
}

// Follow calls fn with the events of the log at path in their order, from the first, a batch at a time. With
// live it goes on until that log is closed; with nil it ends with the file. It returns fn's error, ctx's
// cause, or nil at the end. Lines that are no event (a process died while it wrote one) are passed over.
func Follow(ctx context.Context, path string, live *Log, fn func([]report.Event) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open a run's log: %w", err)
	}
	defer f.Close()
	t := &tail{r: bufio.NewReaderSize(f, 256<<10)}
	for {
		var grown <-chan struct{}
		ended := true
		if live != nil {
			grown, ended = live.watch() // before reading, so that nothing written meanwhile is missed
		}
		if err := t.drain(ctx, fn); err != nil {
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tail reads whole lines of a file that may still grow.
type tail struct {
	r    *bufio.Reader
	part []byte
}

// drain hands over all whole lines there are now.
func (t *tail) drain(ctx context.Context, fn func([]report.Event) error) error {
	var batch []report.Event
	for {
		line, err := t.r.ReadSlice('\n')
		t.part = append(t.part, line...)
		if err == nil {
			batch = appendEvent(batch, t.part)
			t.part = t.part[:0]
		}
		if len(batch) > 0 && (err == io.EOF || len(batch) >= 2000) {
			if err := fn(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && err != bufio.ErrBufferFull:
			return fmt.Errorf("read a run's log: %w", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

func appendEvent(batch []report.Event, line []byte) []report.Event {
	var e report.Event
	if json.Unmarshal(bytes.TrimSpace(line), &e) != nil {
		return batch
	}
	return append(batch, e)
}
