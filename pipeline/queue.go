package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/runlog"
	"lain.internal/lain/state"
)

// mostWaiting bounds the changes that wait for their turn in one application.
const mostWaiting = 16

// lane is the queue of one application: one run moves. Of the pushes only the newest waits; changes wait in
// their order.
type lane struct {
	running *execution
	waiting []*execution
}

// next gives the turn to the oldest that waits, and reports whether there was one.
func (l *lane) next() bool {
	l.running = nil
	if len(l.waiting) == 0 {
		return false
	}
	l.running, l.waiting = l.waiting[0], l.waiting[1:]
	close(l.running.turn)
	return true
}

// leave takes e out of those that wait.
func (l *lane) leave(e *execution) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *execution) bool { return w == e })
}

// Submit checks the commit, records a run and puts it into its application's queue. A *fault.Fault means
// that the request was refused before there was a run: nothing was left behind. An application that is not
// there yet is made with its first run.
func (p *Pipeline) Submit(ctx context.Context, req lain.RunRequest) (lain.Run, error) {
	if err := p.check(ctx, &req); err != nil {
		return lain.Run{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return lain.Run{}, errStopping
	}
	if l := p.lanes[req.App]; l != nil && len(l.waiting) >= mostWaiting {
		return lain.Run{}, fault.New(fault.Conflict, "%d runs of %s wait already", len(l.waiting), req.App).WithHint("See: runs %s", req.App)
	}
	run, err := p.record(ctx, req)
	if err != nil {
		return lain.Run{}, err
	}
	log, err := runlog.Create(p.logPath(run))
	if err != nil {
		p.forget(ctx, run)
		return lain.Run{}, err
	}
	p.enqueue(p.newExecution(run, req, log), req.Supersede)
	return run, nil
}

// record makes the run's record, and the application's with its first run, in one transaction.
func (p *Pipeline) record(ctx context.Context, req lain.RunRequest) (lain.Run, error) {
	for {
		run, err := p.tryRecord(ctx, req)
		if !errors.Is(err, state.ErrConflict) {
			return run, err
		}
	}
}

func (p *Pipeline) tryRecord(ctx context.Context, req lain.RunRequest) (lain.Run, error) {
	tx := p.o.Store.Begin("run")
	item, err := p.kinds.apps.Get(ctx, string(req.App))
	app := item.Value
	switch {
	case errors.Is(err, state.ErrNotFound):
		app = lain.App{Name: req.App, ObjectFormat: req.Format, Created: p.o.Now().UTC(), By: req.By, LastRun: 1}
		p.kinds.apps.CreateIn(tx, string(req.App), app)
	case err != nil:
		return lain.Run{}, err
	default:
		app.LastRun++
		p.kinds.apps.UnchangedIn(tx, string(req.App), item.Revision)
		p.kinds.apps.PutIn(tx, string(req.App), app)
	}
	run := lain.Run{
		App: req.App, Number: app.LastRun, Commit: req.Commit, Ref: req.Ref, Old: req.Old, By: req.By, State: lain.RunQueued,
		Detached: req.Detach, BuildOnly: req.BuildOnly, SkipOneshot: req.SkipOneshot, Change: req.Change, Created: p.o.Now().UTC(),
		Log: logName(req.App, app.LastRun), Owner: p.o.ID,
	}
	key := lain.NumberKey(req.App, run.Number)
	p.kinds.runs.CreateIn(tx, key, run)
	p.kinds.owners.CreateIn(tx, key, p.o.ID)
	_, err = tx.Commit(ctx)
	return run, err
}

// forget removes a run that never came to be.
func (p *Pipeline) forget(ctx context.Context, run lain.Run) {
	key := lain.NumberKey(run.App, run.Number)
	tx := p.o.Store.Begin("run.forget")
	p.kinds.runs.DeleteIn(tx, key)
	p.kinds.owners.DeleteIn(tx, key)
	if _, err := tx.Commit(ctx); err != nil {
		p.o.Logger.Error("a run that never began is left in the store", "run", key, "error", err)
	}
}

// enqueue starts e, or lets it wait in the place of an older one. The caller holds mu.
func (p *Pipeline) enqueue(e *execution, supersede bool) {
	l := p.lanes[e.asked.App]
	if l == nil {
		l = &lane{}
		p.lanes[e.asked.App] = l
	}
	p.live[lain.NumberKey(e.asked.App, e.asked.Number)] = e
	p.runs.Add(1)
	newer := fault.New(fault.Conflict, "superseded by %s of %s, which was pushed later", e.asked.ID(), e.asked.By)
	if l.running == nil {
		l.running = e
		go p.drive(e)
		return
	}
	if e.asked.Change == nil {
		l.supersedePushes(superseded{newer})
	}
	l.waiting = append(l.waiting, e)
	go p.queue(e)
	if supersede && l.running.asked.Change == nil && l.running.tryCancel(superseded{newer}) {
		e.log.Report(report.Event{Kind: report.Detail, Text: fmt.Sprintf("%s is stopped for this push", l.running.asked.ID())})
		return
	}
	e.log.Report(report.Event{Kind: report.Stage, Text: fmt.Sprintf("Waiting for %s of %s", l.running.asked.ID(), l.running.asked.By)})
	if e.asked.Change == nil {
		e.log.Report(report.Event{Kind: report.Detail, Text: "A push with -o supersede stops it while it builds."})
	}
}

// supersedePushes ends the pushes that wait; changes stay, since nobody but their person would ask for them again.
func (l *lane) supersedePushes(why error) {
	for _, w := range slices.Clone(l.waiting) {
		if w.asked.Change == nil && w.tryCancel(why) {
			l.leave(w)
		}
	}
}

// superseded marks the cause of a run's end.
type superseded struct{ error }

func (s superseded) Unwrap() error { return s.error }

// queue ends a waiting run that is cancelled before its turn.
func (p *Pipeline) queue(e *execution) {
	select {
	case <-e.turn:
		p.drive(e)
	case <-e.ctx.Done():
		p.mu.Lock()
		l := p.lanes[e.asked.App]
		mine := l != nil && l.running == e
		if l != nil {
			l.leave(e)
		}
		p.mu.Unlock()
		if mine { // its turn came at the same moment
			p.drive(e)
			return
		}
		e.fail(context.Cause(e.ctx))
		p.retire(e)
	}
}

// drive runs e to its end and gives the turn to the next.
func (p *Pipeline) drive(e *execution) {
	e.execute()
	p.mu.Lock()
	if !p.lanes[e.asked.App].next() {
		delete(p.lanes, e.asked.App)
	}
	p.mu.Unlock()
	p.retire(e)
}

func (p *Pipeline) retire(e *execution) {
	if err := e.log.Close(); err != nil {
		p.o.Logger.Error("the log of a run is not whole", "app", e.asked.App, "run", e.asked.ID(), "error", err)
	}
	p.mu.Lock()
	delete(p.live, lain.NumberKey(e.asked.App, e.asked.Number))
	p.mu.Unlock()
	e.cancel(nil)
	close(e.done)
	p.runs.Done()
}
