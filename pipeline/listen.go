package pipeline

import (
	"context"
	"sync"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
)

const (
	hearAgain = time.Second      // after what was followed has ended or broken off
	lastLines = 10 * time.Second // the longest wait for what was written just before the end
)

// listener hands what a oneshot writes to the log of its run, as it comes, each line once.
type listener struct {
	e      *execution
	proc   lain.ProcName
	task   string
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup
	closed bool
	newest [2]time.Time // of the lines of each stream
}

// listen makes a listener; it hears nothing before hear. close must be called.
func (e *execution) listen(w lain.ProcWant) *listener {
	l := &listener{e: e, proc: w.Spec.Name}
	l.ctx, l.cancel = context.WithCancel(e.p.base)
	return l
}

// hear begins to listen once the engine has a container. It may be called again.
func (l *listener) hear(seen lain.ProcSeen) {
	if l.e.p.o.Output == nil || l.e.mute || l.task != "" || len(seen.Instances) == 0 {
		return
	}
	i := seen.Instances[0]
	if i.State != "running" && seen.State == lain.SeenRolling {
		return
	}
	l.task = i.Task
	l.ended.Go(l.follow)
}

func (l *listener) follow() {
	for l.ctx.Err() == nil {
		_ = l.e.p.o.Output.TaskLines(l.ctx, l.task, l.from(), true, l.take) // what it missed comes with the next
		select {
		case <-l.ctx.Done():
		case <-time.After(hearAgain):
		}
	}
}

// close hears the rest and stops listening. It may be called again.
func (l *listener) close() {
	l.cancel()
	l.ended.Wait()
	if l.task == "" || l.closed {
		return
	}
	l.closed = true
	ctx, cancel := context.WithTimeout(l.e.p.base, lastLines)
	defer cancel()
	if err := l.e.p.o.Output.TaskLines(ctx, l.task, l.from(), false, l.take); err != nil {
		l.e.p.o.Logger.Info("the last lines of a oneshot may be missing in its run's log", "app", l.e.asked.App, "proc", l.proc, "error", err)
	}
}

// from is the time up to which both streams were heard.
func (l *listener) from() time.Time {
	if l.newest[0].Before(l.newest[1]) {
		return l.newest[0]
	}
	return l.newest[1]
}

func (l *listener) take(line engine.LogLine) error {
	stream := 0
	if line.Stderr {
		stream = 1
	}
	if !line.At.IsZero() && !line.At.After(l.newest[stream]) {
		return nil // heard before
	}
	l.newest[stream] = line.At
	l.e.Report(report.Event{Kind: report.Output, Text: "oneshot " + string(l.proc) + ": " + line.Text})
	return nil
}
