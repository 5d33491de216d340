package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/redact"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/pipeline/runlog"
)

// execution is a run while it moves.
type execution struct {
	p     *Pipeline
	asked lain.Run // the record as it was when this began: what never changes is read from here
	req   lain.RunRequest
	log   *runlog.Log

	ctx    context.Context // ends by a cancel before the rollout, or when the process gives up
	cancel context.CancelCauseFunc
	turn   chan struct{} // closed when a waiting run may go
	done   chan struct{} // closed when the run has ended and its log is closed

	built []string // values that the build saw

	inherited func(context.Context) error // what is left of a run that was taken over; nil: all its stages

	mu      sync.Mutex
	run     lain.Run
	hidden  *redact.Redactor // nil: the run knows no secret values
	mute    bool             // what oneshot procs write is not shown
	rolling bool             // from here on it can't be cancelled
}

func (p *Pipeline) newExecution(run lain.Run, req lain.RunRequest, log *runlog.Log) *execution {
	e := &execution{p: p, asked: run, req: req, log: log, run: run, turn: make(chan struct{}), done: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancelCause(p.base)
	return e
}

// tryCancel ends the run unless its rollout has begun.
func (e *execution) tryCancel(cause error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rolling {
		return false
	}
	e.cancel(cause)
	return true
}

// beginRolling closes the door behind which a run can't be cancelled, or returns why it was cancelled. Work
// behind the door uses the pipeline's own context.
func (e *execution) beginRolling() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx)
	}
	e.rolling = true
	return nil
}

// say adds a line to the run's log.
func (e *execution) say(kind report.Kind, format string, args ...any) {
	e.Report(report.Event{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// Report adds an event of the stage that runs now to the run's log.
func (e *execution) Report(ev report.Event) {
	e.mu.Lock()
	if ev.Stage == "" {
		ev.Stage = e.run.Stage
	}
	hidden := e.hidden
	e.mu.Unlock()
	ev.Text = hidden.Text(ev.Text)
	e.log.Report(ev)
}

// update changes the run's record, here and in the store.
func (e *execution) update(ctx context.Context, change func(*lain.Run)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.run)
	_, err := e.p.kinds.runs.Put(ctx, lain.NumberKey(e.asked.App, e.asked.Number), e.run)
	return err
}

func (e *execution) detached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.run.Detached
}

// stage runs fn as a recorded stage with a heading.
func (e *execution) stage(ctx context.Context, name, title string, fn func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := e.update(ctx, func(r *lain.Run) {
		r.Stage = name
		r.Stages = append(r.Stages, lain.StageRecord{Name: name, Started: e.p.o.Now().UTC()})
	})
	if err != nil {
		return err
	}
	e.say(report.Stage, "%s", title)
	err = e.p.shortage(fn(ctx))
	e.mu.Lock()
	e.run.Stages[len(e.run.Stages)-1].Ended = e.p.o.Now().UTC() // stored with the next write
	e.mu.Unlock()
	return causeOf(ctx, err)
}

// causeOf is the cause of ctx's end, where there is one and err does not tell it.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return cause
	}
	return err
}

// skip notes a stage that is not needed.
func (e *execution) skip(s plan.Stage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.p.o.Now().UTC()
	e.run.Stages = append(e.run.Stages, lain.StageRecord{Name: s.Name, Started: now, Ended: now, Skipped: s.Skip})
}

// execute drives the run to its end; it records the outcome itself.
func (e *execution) execute() {
	defer e.rescue()
	if err := e.update(e.p.base, func(r *lain.Run) {
		r.State = lain.RunRunning
		if r.Started.IsZero() {
			r.Started = e.p.o.Now().UTC()
		}
	}); err != nil {
		e.fail(err)
		return
	}
	if err := e.all(); err != nil {
		e.fail(e.why(err))
		return
	}
	e.end(lain.RunDone, "")
}

// why is the cause of a cancel, where that is what made err.
func (e *execution) why(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rolling {
		return err
	}
	return causeOf(e.ctx, err)
}

// rescue keeps a mistake of ours in one run from harming the others.
func (e *execution) rescue() {
	if v := recover(); v != nil {
		e.fail(fmt.Errorf("panic in run %s of %s: %v", e.asked.ID(), e.asked.App, v))
	}
}

// fail tells the run's log why it ends and records it. A process that gives up says nothing and leaves the
// record as it is, for its next start.
func (e *execution) fail(err error) {
	if errors.Is(err, errLost) {
		return
	}
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		e.p.o.Logger.Error("run failed by our own mistake", "app", e.asked.App, "run", e.asked.ID(), "error", err)
	}
	serving := plan.Serving(e.good())
	lines := fault.Lines(f)
	e.say(report.Trouble, "%s", lines[0])
	for _, line := range lines[1:] {
		e.say(report.Detail, "%s", line)
	}
	if ran := e.begunOneshots(); len(ran) > 0 {
		e.say(report.Detail, "What %s did is not undone.", plan.And(ran))
	}
	e.say(report.Detail, "%s", serving)
	e.end(endState(err), fmt.Sprintf("%s, %s", f.Error(), serving))
}

// good is the release that serves, for words about it; a process that gives up can still read it.
func (e *execution) good() lain.Release {
	ctx, cancel := e.lastWords()
	defer cancel()
	good, err := e.p.lastGood(ctx, e.asked.App)
	if err != nil {
		e.p.o.Logger.Error("read what serves", "app", e.asked.App, "error", err)
	}
	return good
}

// lastWords is a context for what has to be read and written at a run's end, also by a process that gives up.
func (e *execution) lastWords() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(e.p.base), 10*time.Second)
}

func endState(err error) lain.RunState {
	var s superseded
	switch {
	case errors.As(err, &s):
		return lain.RunSuperseded
	case fault.Of(err).Kind == fault.Cancelled:
		return lain.RunCancelled
	case errors.Is(err, errStopping):
		return lain.RunInterrupted
	}
	return lain.RunFailed
}

// end records the outcome and gives up the ownership, in one transaction.
func (e *execution) end(s lain.RunState, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run.State, e.run.Reason, e.run.Ended = s, reason, e.p.o.Now().UTC()
	key := lain.NumberKey(e.asked.App, e.asked.Number)
	tx := e.p.o.Store.Begin("run.end")
	e.p.kinds.runs.PutIn(tx, key, e.run)
	e.p.kinds.owners.DeleteIn(tx, key)
	ctx, cancel := e.lastWords()
	defer cancel()
	countRun(e.run)
	if _, err := tx.Commit(ctx); err != nil {
		e.p.o.Logger.Error("the end of a run is not recorded; the next start does it", "run", key, "error", err)
	}
}
