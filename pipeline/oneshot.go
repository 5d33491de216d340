package pipeline

import (
	"cmp"
	"context"
	"errors"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

// oneshots runs the oneshot procs of a release, one behind the other, before anything else of it moves. Each
// runs once for a run, whatever happens to this process: the wish is the mark that it was begun, and how it ended
// is recorded as the wish is taken away. It can be cancelled, which stops the one that runs.
func (e *execution) oneshots(r lain.Release) error {
	wants := plan.Oneshots(r)
	if len(wants) == 0 {
		return nil
	}
	var names []lain.ProcName
	for _, w := range wants {
		names = append(names, w.Spec.Name)
	}
	if why := plan.NoOneshots(e.asked); why != "" {
		return e.noOneshots(names, why)
	}
	return e.stage(e.ctx, plan.Oneshot, "Running "+plan.And(names), func(ctx context.Context) error {
		if !e.detached() {
			e.say(report.Detail, "Ctrl-C stops it; what it has done then is not undone.")
		}
		for _, w := range wants {
			if err := e.oneshot(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// noOneshots notes that they are left out. A push has recorded the stage already, with those of its build.
func (e *execution) noOneshots(names []lain.ProcName, why string) error {
	if e.asked.Change != nil {
		e.skip(plan.Stage{Name: plan.Oneshot, Skip: why})
		return nil
	}
	e.say(report.Stage, "Leaving out %s (%s)", plan.And(names), why)
	return nil
}

// oneshot runs one to its end, or takes the end that it found before this process took the run over.
func (e *execution) oneshot(ctx context.Context, w lain.ProcWant) error {
	end, err := e.p.endOf(ctx, w)
	if errors.Is(err, state.ErrNotFound) {
		end, err = e.runOneshot(ctx, w)
	}
	if err != nil {
		return err
	}
	if end.State != lain.SeenEnded {
		return e.given([]lain.ProcSeen{end})
	}
	e.say(report.Detail, "%s is done", w.Spec.Name)
	return nil
}

// endOf is how this wish ended; state.ErrNotFound where it has not.
func (p *Pipeline) endOf(ctx context.Context, w lain.ProcWant) (lain.ProcSeen, error) {
	item, err := p.kinds.ended.Get(ctx, lain.ProcKey(w.App, w.Spec.Name))
	if err == nil && item.Value.Attempt != w.Attempt {
		err = state.ErrNotFound
	}
	return item.Value, err
}

func (e *execution) runOneshot(ctx context.Context, w lain.ProcWant) (lain.ProcSeen, error) {
	tx := e.p.o.Store.Begin("oneshot")
	e.p.kinds.wants.PutIn(tx, w.Key(), w) // if it is there already, it is the same
	if _, err := tx.Commit(ctx); err != nil {
		return lain.ProcSeen{}, e.stopOneshot(w, causeOf(ctx, err))
	}
	l := e.listen(w)
	defer l.close()
	seen, err := e.awaitOneshot(ctx, w, l)
	if err != nil {
		return seen, e.stopOneshot(w, causeOf(ctx, err))
	}
	l.close()
	if seen.State == lain.SeenServing {
		seen.State = lain.SeenEnded
	}
	return seen, e.settle(ctx, w, seen)
}

// awaitOneshot watches until the rollout has a verdict on the wish.
func (e *execution) awaitOneshot(ctx context.Context, w lain.ProcWant, l *listener) (seen lain.ProcSeen, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lain.OneshotLimit+2*rolloutSlack, fault.New(fault.Unavailable,
		"%s did not begin or end in time; the engine may be away", w.Spec.Name))
	defer cancel()
	for range e.p.o.Store.Signal(ctx, lain.SeenPrefix+string(w.App)+"/") {
		item, err := e.p.kinds.seen.Get(ctx, w.Key())
		if errors.Is(err, state.ErrNotFound) || err == nil && item.Value.Attempt != w.Attempt {
			continue
		}
		if err != nil {
			return seen, causeOf(ctx, err)
		}
		seen = item.Value
		l.hear(seen)
		if seen.State != lain.SeenRolling {
			return seen, nil
		}
	}
	return seen, cmp.Or(context.Cause(ctx), errLost)
}

// settle records how a oneshot ended, and takes the wish away, in one transaction.
func (e *execution) settle(ctx context.Context, w lain.ProcWant, end lain.ProcSeen) error {
	end.Instances, end.At = nil, e.p.o.Now().UTC()
	tx := e.p.o.Store.Begin("oneshot.end")
	e.p.kinds.ended.PutIn(tx, lain.ProcKey(w.App, w.Spec.Name), end)
	e.p.kinds.wants.DeleteIn(tx, w.Key())
	_, err := tx.Commit(ctx)
	return err
}

// stopOneshot takes a oneshot's wish away before its end, waits until its container is gone, and returns why with
// the words that it was stopped. A process that gives up without having been told to stop its runs leaves it
// running for the next start.
func (e *execution) stopOneshot(w lain.ProcWant, why error) error {
	if errors.Is(why, errLost) {
		return why
	}
	f := fault.Of(why)
	sentence := f.Sentence
	if f == errStopping {
		sentence = "the server is shutting down"
	}
	stopped := fault.Hide(f.Kind, why, "%s; %s was stopped", sentence, w.Spec.Name).WithHint("%s", f.Hint)
	ctx, cancel := e.lastWords()
	defer cancel()
	if err := e.settle(ctx, w, lain.ProcSeen{App: w.App, Proc: w.Spec.Name, Release: w.Release, Attempt: w.Attempt,
		State: lain.SeenStopped, Reason: sentence}); err != nil {
		return errors.Join(stopped, err)
	}
	e.say(report.Detail, "Stopping %s", w.Spec.Name)
	if err := e.gone(w); err != nil && e.p.base.Err() == nil {
		e.say(report.Warning, "%s has not ended yet; it is stopped in the background", w.Spec.Name)
	}
	return stopped
}

// gone waits until nothing of the oneshot is left on the engine.
func (e *execution) gone(w lain.ProcWant) error {
	ctx, cancel := context.WithTimeout(e.p.base, w.Spec.KillTimeout+time.Minute)
	defer cancel()
	for range e.p.o.Store.Signal(ctx, lain.SeenPrefix+string(w.App)+"/") {
		if _, err := e.p.kinds.seen.Get(ctx, w.Key()); errors.Is(err, state.ErrNotFound) {
			return nil
		}
	}
	return context.Cause(ctx)
}

// drop ends a run that was taken over before its rollout: nobody was told success, so a oneshot that still runs
// is stopped. It could be waited for, but its run has failed whatever it does, and the next push, which runs it
// again, would have to wait for up to an hour.
func (e *execution) drop(r lain.Release) error {
	var why error = fault.Hide(fault.Unavailable, errStopping, "the server was restarted before the rollout").WithHint("Push again.")
	for _, w := range plan.Oneshots(r) {
		_, err := e.p.kinds.wants.Get(e.p.base, w.Key())
		if err == nil {
			why = e.stopOneshot(w, why)
		} else if !errors.Is(err, state.ErrNotFound) {
			return err
		}
	}
	return errors.Join(why, e.abandon(r, why))
}

// goOn takes a detached run that was taken over before its rollout on from there. Where the secrets that its
// oneshots may write cannot be had, to keep them out of the log, nothing of what they write is shown.
func (e *execution) goOn(r lain.Release) error {
	if plan.HasSecrets(r) {
		if err := e.hide(e.ctx, r); err != nil {
			e.say(report.Warning, "what oneshot procs write is not shown: the vault does not answer")
			e.mute = true
		}
	}
	return e.proceed(r)
}

// begunOneshots are the oneshot procs that this run began, however they ended.
func (e *execution) begunOneshots() (names []lain.ProcName) {
	ctx, cancel := e.lastWords()
	defer cancel()
	ended, _, err := e.p.kinds.ended.List(ctx, string(e.asked.App)+"/")
	if err != nil {
		e.p.o.Logger.Error("read which oneshot procs ran", "app", e.asked.App, "error", err)
	}
	for _, i := range ended {
		if i.Value.Attempt == plan.Attempt(e.asked.Number) {
			names = append(names, i.Value.Proc)
		}
	}
	return names
}

// forgetOneshots drops what is known of oneshot procs that the release does not have.
func (p *Pipeline) forgetOneshots(ctx context.Context, tx *state.Tx, r lain.Release) error {
	ended, _, err := p.kinds.ended.List(ctx, string(r.App)+"/")
	for _, i := range ended {
		if !plan.IsOneshot(r, i.Value.Proc) {
			p.kinds.ended.DeleteIn(tx, i.Key)
		}
	}
	return err
}
