package pipeline

import (
	"context"
	"errors"
	"fmt"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/pipeline/runlog"
	"lain.internal/lain/state"
)

// Start takes over the runs of a process that died, and makes every deploy branch name what serves. Returns
// that need time go on in the background; new pushes of those applications wait for them.
func (p *Pipeline) Start(ctx context.Context) error {
	if err := p.settleRefs(ctx); err != nil {
		return err
	}
	owners, _, err := p.kinds.owners.List(ctx, "")
	if err != nil {
		return err
	}
	for _, o := range owners {
		if o.Value == p.o.ID || !p.o.Store.Sole() {
			continue
		}
		if err := p.takeOver(ctx, o.Key); err != nil {
			return fmt.Errorf("take over run %s: %w", o.Key, err)
		}
	}
	return nil
}

// settleRefs moves each deploy branch to the commit of the release that serves: the record is the truth.
func (p *Pipeline) settleRefs(ctx context.Context) error {
	apps, _, err := p.kinds.apps.List(ctx, "")
	if err != nil {
		return err
	}
	for _, a := range apps {
		good, err := p.lastGood(ctx, a.Value.Name)
		if err != nil || good.Number == 0 {
			continue
		}
		if err := p.moveRef(ctx, good); err != nil {
			p.o.Logger.Error("the deploy branch could not be moved to what serves", "app", a.Value.Name, "error", err)
		}
	}
	return nil
}

func (p *Pipeline) takeOver(ctx context.Context, key string) error {
	run, err := p.kinds.runs.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) {
		_, err = p.kinds.owners.Delete(ctx, key)
		return err
	}
	if err != nil {
		return err
	}
	release, err := p.releaseOf(ctx, run.Value)
	if err != nil {
		return err
	}
	log, err := runlog.Create(p.logPath(run.Value))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.newExecution(run.Value, requestOf(run.Value), log)
	p.o.Logger.Info("taking a run over", "app", run.Value.App, "run", run.Value.ID(), "do", string(plan.TakeOver(run.Value, release)))
	if err := e.update(ctx, func(r *lain.Run) { r.Owner = p.o.ID }); err != nil {
		return err
	}
	if _, err := p.kinds.owners.Put(ctx, key, p.o.ID); err != nil {
		return err
	}
	e.inherit(plan.TakeOver(run.Value, release), release)
	p.enqueueInherited(e)
	return nil
}

// enqueueInherited queues without superseding: a dead process may have left one run that moved and some that
// waited, and they come in the order of their numbers. The caller holds mu.
func (p *Pipeline) enqueueInherited(e *execution) {
	p.live[lain.NumberKey(e.asked.App, e.asked.Number)] = e
	p.runs.Add(1)
	l := p.lanes[e.asked.App]
	if l == nil {
		p.lanes[e.asked.App] = &lane{running: e}
		go p.drive(e)
		return
	}
	l.waiting = append(l.waiting, e)
	go p.queue(e)
}

// lookBack is how many of the newest releases are looked through for that of a run: three runs may be left to be
// taken over, and each may have made its own and a return.
const lookBack = 6

// releaseOf finds the release that a run was for, nil if it made none. A run's record that names none may be older
// than its release, so the releases are asked then.
func (p *Pipeline) releaseOf(ctx context.Context, run lain.Run) (*lain.Release, error) {
	app, err := p.kinds.apps.Get(ctx, string(run.App))
	if err != nil {
		return nil, err
	}
	first, last := max(1, app.Value.LastRelease-lookBack+1), app.Value.LastRelease
	if run.Release != 0 {
		first, last = run.Release, run.Release
	}
	var found []lain.Release
	for n := first; n <= last; n++ {
		item, err := p.kinds.releases.Get(ctx, lain.NumberKey(run.App, n))
		if err != nil {
			return nil, err
		}
		found = append(found, item.Value)
	}
	return plan.Own(run, found), nil
}

func requestOf(run lain.Run) lain.RunRequest {
	return lain.RunRequest{App: run.App, Commit: run.Commit, Ref: run.Ref, Old: run.Old, By: run.By, Detach: run.Detached, BuildOnly: run.BuildOnly, SkipOneshot: run.SkipOneshot, Change: run.Change}
}

// inherit sets what the execution of a run that was taken over does in place of all its stages.
func (e *execution) inherit(do plan.Takeover, release *lain.Release) {
	e.say(report.Warning, "the server was restarted during this run")
	switch do {
	case plan.Interrupt:
		e.cancel(fault.Hide(fault.Unavailable, errStopping, "interrupted by a restart of the server, nothing was changed").
			WithHint("Push again."))
	case plan.Finish:
		e.rolling, e.inherited = true, func(ctx context.Context) error { return e.finish(ctx, *release) }
	case plan.Abandon:
		e.rolling, e.inherited = true, func(context.Context) error { return e.drop(*release) }
	case plan.Return:
		e.rolling, e.inherited = true, func(ctx context.Context) error {
			why := fault.Hide(fault.Unavailable, errStopping, "the server was restarted during the rollout").WithHint("Push again.")
			return errors.Join(why, e.takeBack(ctx, *release, why.Sentence))
		}
	case plan.Returned:
		e.rolling, e.inherited = true, func(ctx context.Context) error { return e.returned(ctx, *release) }
	case plan.Resume:
		switch {
		case release != nil && plan.Rolling(e.asked):
			e.rolling, e.inherited = true, func(context.Context) error { return e.roll(*release) }
		case release != nil:
			e.inherited = func(context.Context) error { return e.goOn(*release) }
		}
	}
}
