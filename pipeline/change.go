package pipeline

import (
	"context"
	"errors"
	"fmt"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/changes"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
)

// changed is the release that a change makes of an earlier one. All is read when its turn comes: a change that
// waited is made of what serves then.
func (e *execution) changed(c lain.Change) (lain.Release, error) {
	var next lain.Release
	err := e.stage(e.ctx, plan.Read, fmt.Sprintf("%s: %s", e.asked.ID(), changes.Title(c, e.asked.App)), func(ctx context.Context) (err error) {
		var serving lain.Release
		if next, serving, err = e.p.Preview(ctx, e.asked.App, c); err != nil {
			return err
		}
		for _, line := range changes.Compare(serving, next) {
			e.say(report.Detail, "%s", line)
		}
		return nil
	})
	return next, err
}

// Preview is the release that a change would make now, and the one that serves. Nothing is written; what would
// refuse the change refuses it here.
func (p *Pipeline) Preview(ctx context.Context, app lain.AppName, c lain.Change) (next, serving lain.Release, err error) {
	if serving, err = p.serving(ctx, app); err != nil {
		return next, serving, err
	}
	base := serving
	if c.From != 0 {
		if base, err = p.again(ctx, app, c.From); err != nil {
			return next, serving, err
		}
	}
	if err := known(base, c.Procs); err != nil {
		return next, serving, err
	}
	if next, err = plan.Changed(c, base, serving); err == nil {
		err = p.fits(ctx, next)
	}
	return next, serving, err
}

// fits refuses a release with a proc of which one instance is larger than the largest node. A node that is away may come back, so
// what is not known refuses nothing.
func (p *Pipeline) fits(ctx context.Context, r lain.Release) error {
	if p.o.NodeMemory == nil {
		return nil
	}
	largest, err := p.o.NodeMemory(ctx)
	if err != nil {
		p.o.Logger.Warn("the memory of the nodes is not known", "error", err)
		return nil
	}
	return plan.Fits(r.App, r.Procs, largest)
}

// serving is the release that serves, or a refusal where none does.
func (p *Pipeline) serving(ctx context.Context, app lain.AppName) (lain.Release, error) {
	good, err := p.lastGood(ctx, app)
	if errors.Is(err, state.ErrNotFound) {
		return good, fault.New(fault.NotFound, "there is no application %s here", app).WithHint("See: apps")
	}
	if err == nil && good.Number == 0 {
		return good, fault.New(fault.Conflict, "nothing of %s serves yet", app).WithHint("Push it first: git push lain main")
	}
	return good, err
}

// again finds a release that may be released again: it served once, its image is still there, and nobody
// banned it.
func (p *Pipeline) again(ctx context.Context, app lain.AppName, number int) (lain.Release, error) {
	item, err := p.kinds.releases.Get(ctx, lain.NumberKey(app, number))
	r := item.Value
	if errors.Is(err, state.ErrNotFound) {
		return r, fault.New(fault.NotFound, "%s has no release v%d", app, number).WithHint("See: releases %s", app)
	}
	if err != nil {
		return r, err
	}
	ban, err := p.banOf(ctx, r)
	switch {
	case err != nil:
		return r, err
	case ban != nil:
		return r, fault.New(fault.Denied, "%s of %s was banned by %s: %s", r.Version(), app, ban.By, ban.Reason).
			WithHint("See: releases %s\nTo allow it again: unban %s %s", app, app, r.Version())
	case r.Status != lain.ReleaseServing && r.Status != lain.ReleaseReplaced:
		return r, fault.New(fault.Conflict, "%s of %s never served (%s)", r.Version(), app, r.Status).WithHint("See: releases %s", app)
	}
	return r, p.imagesThere(ctx, r)
}

// imagesThere refuses a release whose images are not in the registry any more.
func (p *Pipeline) imagesThere(ctx context.Context, r lain.Release) error {
	for _, w := range plan.Wants(r, 0) {
		spec := w.Spec
		have, err := p.o.Builder.Has(ctx, spec.Image)
		if err != nil {
			return err
		}
		if !have {
			return fault.New(fault.NotFound, "the image of %s of %s is not kept any more", spec.Name, r.Version()).
				WithHint("Push its commit again: git push -f lain %s:%s", r.Commit.Short(), r.Branch)
		}
	}
	return nil
}

func known(r lain.Release, procs []lain.ProcName) error {
	for _, name := range procs {
		if plan.IsOneshot(r, name) {
			return fault.New(fault.Invalid, "%s is a oneshot proc: it runs with a push only", name)
		}
		if _, ok := r.Proc(name); !ok {
			return fault.New(fault.NotFound, "%s has no proc %s", r.App, name).WithHint("See: ps %s", r.App)
		}
	}
	return nil
}

// checkChange refuses a change that can't be made now, and names in req the commit that it will release.
func (p *Pipeline) checkChange(ctx context.Context, req *lain.RunRequest) error {
	next, serving, err := p.Preview(ctx, req.App, *req.Change)
	if err != nil {
		return err
	}
	req.Commit, req.Old, req.Ref = next.Commit, serving.Commit, "refs/heads/"+serving.Branch
	return nil
}

// banOf is the ban of a release, which its root holds; nil where there is none.
func (p *Pipeline) banOf(ctx context.Context, r lain.Release) (*lain.Ban, error) {
	if r.Root() == r.Number {
		return r.Ban, nil
	}
	root, err := p.kinds.releases.Get(ctx, lain.NumberKey(r.App, r.Root()))
	return root.Value.Ban, err
}

// Ban keeps a release from being released again, or with nil allows it again. Of a return it is the root that is
// banned, and with it all that returned to it; Ban gives its number. One that serves goes on serving, and what
// returns to it does so, too.
func (p *Pipeline) Ban(ctx context.Context, app lain.AppName, number int, ban *lain.Ban) (root int, err error) {
	named, err := p.kinds.releases.Get(ctx, lain.NumberKey(app, number))
	if errors.Is(err, state.ErrNotFound) {
		return 0, fault.New(fault.NotFound, "%s has no release v%d", app, number).WithHint("See: releases %s", app)
	}
	if err != nil {
		return 0, err
	}
	root = named.Value.Root()
	_, err = p.kinds.releases.Update(ctx, lain.NumberKey(app, root), func(r *lain.Release) error {
		r.Ban = ban
		return nil
	})
	return root, err
}
