package pipeline

import (
	"context"
	"errors"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

// takeBack makes a return of what served before r, and marks r as failed. It waits until what served does so
// alone again and every router sends requests to it.
func (e *execution) takeBack(ctx context.Context, r lain.Release, reason string) error {
	routed, err := e.p.routesRevision(ctx, r.App)
	if err != nil {
		return err
	}
	back, revision, err := e.giveBack(ctx, r, reason)
	if err != nil {
		return err
	}
	if back.Number == 0 {
		e.say(report.Detail, "Taking %s back; nothing served before it", r.Version())
	} else {
		e.say(report.Stage, "Returning to v%d (as %s)", back.Root(), back.Version())
	}
	if routed == 0 { // routers say nothing about routes that were never there
		revision = 0
	}
	return e.awaitReturn(ctx, back, revision)
}

// returned is what is left of a run that died after its release was taken back: the return is there, and is
// waited for. The run ends with the reason that the release has.
func (e *execution) returned(ctx context.Context, failed lain.Release) error {
	why := fault.New(fault.Failed, "%s", failed.Reason)
	good, err := e.p.lastGood(ctx, failed.App)
	if err != nil {
		return errors.Join(why, err)
	}
	routed, err := e.p.routesRevision(ctx, failed.App)
	if err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(why, e.awaitReturn(ctx, good, routed))
}

// giveBack writes all that takes r back, and gives the release that serves then: a new one, or the zero release
// (with the name set) where none did before.
func (e *execution) giveBack(ctx context.Context, r lain.Release, reason string) (back lain.Release, revision int64, err error) {
	for {
		back, revision, err = e.tryGiveBack(ctx, r, reason)
		if !errors.Is(err, state.ErrConflict) {
			return back, revision, err
		}
	}
}

// tryGiveBack is one transaction: whoever reads the records finds r either on its way or taken back whole.
func (e *execution) tryGiveBack(ctx context.Context, r lain.Release, reason string) (back lain.Release, revision int64, err error) {
	app, err := e.p.kinds.apps.Get(ctx, string(r.App))
	if err != nil {
		return back, 0, err
	}
	tx := e.p.o.Store.Begin("return")
	e.p.kinds.apps.UnchangedIn(tx, string(r.App), app.Revision)
	if back, err = e.serveAgain(ctx, tx, app.Value, r); err != nil {
		return back, 0, err
	}
	for _, w := range plan.Wants(back, plan.ReturnAttempt(r.Run)) {
		e.p.kinds.wants.PutIn(tx, w.Key(), w)
	}
	if err := e.p.letGo(ctx, tx, back); err != nil {
		return back, 0, err
	}
	if _, err := e.endRelease(ctx, tx, r.App, r.Number, lain.ReleaseFailed, reason); err != nil {
		return back, 0, err
	}
	revision, err = tx.Commit(ctx)
	return back, revision, err
}

// serveAgain writes into tx that what serves is replaced by its return, with its routes. Where nothing serves
// there is nothing to return to: the routes go.
func (e *execution) serveAgain(ctx context.Context, tx *state.Tx, app lain.App, failed lain.Release) (lain.Release, error) {
	good, err := e.p.lastGood(ctx, app.Name)
	if err != nil {
		return good, err
	}
	if good.Number == 0 {
		e.p.kinds.routes.DeleteIn(tx, string(app.Name))
		return good, nil
	}
	app.LastRelease++
	app.Serving = app.LastRelease
	back := plan.Back(good, failed, app.Serving, e.p.o.Now().UTC())
	e.p.kinds.apps.PutIn(tx, string(app.Name), app)
	e.p.kinds.releases.CreateIn(tx, lain.NumberKey(app.Name, back.Number), back)
	e.p.kinds.routes.PutIn(tx, string(app.Name), lain.AppRoutes{App: app.Name, Release: back.Number, Routes: back.Routes})
	_, err = e.endRelease(ctx, tx, app.Name, good.Number, lain.ReleaseReplaced, "")
	return back, err
}

// awaitReturn files the return in the repository, and waits until it serves alone and every router has the
// routes that were written at revision (0: none), and the endpoints.
func (e *execution) awaitReturn(ctx context.Context, back lain.Release, revision int64) error {
	if back.Number != 0 {
		if err := e.p.moveRef(ctx, back); err != nil && ctx.Err() == nil {
			e.notMoved(back, err)
		}
	}
	err := e.await(ctx, plan.Wants(back, plan.ReturnAttempt(e.asked.Number)))
	if err != nil || revision == 0 {
		return err
	}
	moved, err := e.p.endpointsRevision(ctx, back.App)
	if err != nil {
		return err
	}
	return e.p.awaitRouters(ctx, back.App, max(revision, moved))
}

// routesRevision is the revision at which the routes of an application were written, 0 where it has none.
func (p *Pipeline) routesRevision(ctx context.Context, app lain.AppName) (int64, error) {
	item, err := p.kinds.routes.Get(ctx, string(app))
	if errors.Is(err, state.ErrNotFound) {
		return 0, nil
	}
	return item.Revision, err
}

// endpointsRevision is the revision of the newest write of an application's endpoints.
func (p *Pipeline) endpointsRevision(ctx context.Context, app lain.AppName) (newest int64, err error) {
	items, _, err := p.kinds.endpoints.List(ctx, string(app)+"/")
	for _, i := range items {
		newest = max(newest, i.Revision)
	}
	return newest, err
}
