package pipeline

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// destroyTimeout bounds the wait for the application's containers to end.
const destroyTimeout = 2 * time.Minute

// Destroy removes an application: requests first, then containers, then records; its name last, so that a
// destroy that was cut short can be said again. Progress is told step by step. The caller removes what the
// pipeline does not know of (repository, network, images) in clean, which must bear being repeated.
func (p *Pipeline) Destroy(ctx context.Context, app lain.AppName, tell func(string), clean func(context.Context) error) error {
	release, err := p.occupy(app)
	if err != nil {
		return err
	}
	defer release()
	tell("Taking it off the router")
	if err := p.unroute(ctx, app); err != nil {
		return err
	}
	tell("Stopping its containers")
	if err := p.unwish(ctx, app); err != nil {
		return err
	}
	tell("Removing repository, images and records")
	if err := clean(ctx); err != nil {
		return err
	}
	return p.erase(ctx, app)
}

// occupy keeps runs of the application away until the returned function is called.
func (p *Pipeline) occupy(app lain.AppName) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.lanes[app]; l != nil {
		return nil, fault.New(fault.Conflict, "%s of %s is under way", l.running.asked.ID(), app).
			WithHint("Wait for it, or stop it with: runs cancel %s %s", app, l.running.asked.ID())
	}
	guard := p.newExecution(lain.Run{App: app, By: "destroy"}, lain.RunRequest{}, nil)
	guard.rolling = true
	p.lanes[app] = &lane{running: guard}
	return func() { p.yieldLane(app) }, nil
}

// yieldLane gives the turn to a run that came meanwhile.
func (p *Pipeline) yieldLane(app lain.AppName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lanes[app].next() {
		delete(p.lanes, app)
	}
}

func (p *Pipeline) unroute(ctx context.Context, app lain.AppName) error {
	if _, err := p.kinds.routes.Get(ctx, string(app)); errors.Is(err, state.ErrNotFound) {
		return nil
	}
	revision, err := p.kinds.routes.Delete(ctx, string(app))
	if err != nil {
		return err
	}
	return p.awaitRouters(ctx, app, revision)
}

// unwish deletes the wants and waits until the rollout has removed what they made.
func (p *Pipeline) unwish(ctx context.Context, app lain.AppName) error {
	tx := p.o.Store.Begin("wants.delete")
	wants, _, err := p.kinds.wants.List(ctx, string(app)+"/")
	if err != nil {
		return err
	}
	for _, w := range wants {
		p.kinds.wants.DeleteIn(tx, w.Key)
	}
	if _, err := tx.Commit(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, destroyTimeout, fault.New(fault.Unavailable,
		"the containers of %s did not end within %s", app, destroyTimeout).WithHint("Say destroy again."))
	defer cancel()
	for range p.o.Store.Signal(ctx, lain.SeenPrefix+string(app)+"/") {
		seen, _, err := p.kinds.seen.List(ctx, string(app)+"/")
		if err == nil && len(seen) == 0 {
			return nil
		}
	}
	return cmp.Or(context.Cause(ctx), errLost) // the store may have ended first
}

// erase deletes the records, the application's own last.
func (p *Pipeline) erase(ctx context.Context, app lain.AppName) error {
	below := string(app) + "/"
	hosts, _, err := p.kinds.hosts.List(ctx, "")
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if h.Value.App == app {
			if _, err := p.kinds.hosts.Delete(ctx, h.Key); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(deleteAll(ctx, p.kinds.builds, below), deleteAll(ctx, p.kinds.releases, below),
		deleteAll(ctx, p.kinds.runs, below), deleteAll(ctx, p.kinds.ended, below)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(p.o.LogDir, string(app))); err != nil {
		return err
	}
	if _, err := p.kinds.diaries.Delete(ctx, string(app)); err != nil {
		return err
	}
	_, err = p.kinds.apps.Delete(ctx, string(app))
	return err
}

func deleteAll[T any](ctx context.Context, k state.Kind[T], below string) error {
	items, _, err := k.List(ctx, below)
	if err != nil {
		return err
	}
	for _, i := range items {
		if _, err := k.Delete(ctx, i.Key); err != nil {
			return err
		}
	}
	return nil
}
