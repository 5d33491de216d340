package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
)

// Cleaner takes away what is not to be kept. What it does may be repeated. It tells how much went, even with an error.
type Cleaner struct {
	Name  string // for log and metrics: one of a small set
	Clean func(context.Context, plan.Kept) (pieces int, bytes int64, err error)
}

// SecretCollector removes secrets from the engine that are not in keep; vaultbridge's Courier is one.
type SecretCollector interface {
	Collect(ctx context.Context, keep map[string]bool, now time.Time) (removed []string, err error)
}

// What is kept of the past. Objects that only a refused push brought go when git's own grace time is over
// (repo.Maintain).
const (
	keepFailed   = 7 * 24 * time.Hour // record and log of a run that made no release
	keepRuns     = 200                // of the newest, that did
	retainEvery  = 6 * time.Hour
	retainAfter  = 10 * time.Minute // a start has better things to do first
	maintainTime = 30 * time.Minute

	keepReleases = 10 // with their images
	keepUnserved = 7 * 24 * time.Hour
	keepBuilds   = 7 * 24 * time.Hour
	retainAtMost = 5 * time.Minute // between two passes, however short the disk is
)

func withDefaults(r plan.Retention) plan.Retention {
	return plan.Retention{Releases: cmp.Or(r.Releases, keepReleases), Failed: cmp.Or(r.Failed, keepUnserved), Builds: cmp.Or(r.Builds, keepBuilds)}
}

// Retain forgets what is old and packs repositories, every six hours and when it is hurried, until ctx ends.
func (p *Pipeline) Retain(ctx context.Context) error {
	timer := time.NewTimer(retainAfter)
	defer timer.Stop()
	var last time.Time
	for {
		var hurried bool
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.hurry:
			hurried = true
			if wait := retainAtMost - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		p.retainAll(ctx, hurried)
		last = time.Now()
		timer.Reset(retainEvery)
	}
}

// MakeRoom asks for retention at once. It does not block; asking often is harmless.
func (p *Pipeline) MakeRoom() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// retainAll is one pass. In a hurry repositories are not packed, since that needs room itself.
func (p *Pipeline) retainAll(ctx context.Context, hurried bool) {
	apps, _, err := p.kinds.apps.List(ctx, "")
	if err != nil {
		p.o.Logger.Warn("old things are not forgotten this time", "error", err)
		return
	}
	for _, a := range apps {
		p.retainApp(ctx, a.Value)
	}
	p.clean(ctx, apps)
	for _, a := range apps {
		if hurried {
			break
		}
		if err := p.maintain(ctx, a.Value.Name); err != nil && ctx.Err() == nil {
			p.o.Logger.Warn("a repository is not packed this time", "app", a.Value.Name, "error", err)
		}
	}
}

// clean takes away images and secrets that no application needs. If what one needs can't be read, nothing goes.
func (p *Pipeline) clean(ctx context.Context, apps []state.Item[lain.App]) {
	var all plan.Kept
	for _, a := range apps {
		kept, err := p.keep(ctx, a.Value.Name)
		if err != nil {
			p.o.Logger.Warn("images and secrets are not cleaned this time", "app", a.Value.Name, "error", err)
			return
		}
		all.Join(kept)
	}
	for _, c := range p.o.Cleaners {
		pieces, bytes, err := c.Clean(ctx, all)
		p.freed(c.Name, pieces, bytes, err)
	}
	if p.o.Collector != nil {
		removed, err := p.o.Collector.Collect(ctx, vaultbridge.Keep(all.Releases...), p.o.Now())
		p.freed("secrets", len(removed), 0, err)
	}
	countPass(p.o.Now())
}

// freed tells log and metrics what went.
func (p *Pipeline) freed(what string, pieces int, bytes int64, err error) {
	countFreed(what, pieces, bytes)
	if err != nil {
		p.o.Logger.Warn("not all that is old is gone", "what", what, "error", err)
	}
	if pieces > 0 || bytes > 0 {
		p.o.Logger.Info("old things are gone", "what", what, "pieces", pieces, "bytes", bytes)
	}
}

// keep reads what an application has behind it, and forgets the builds that are of no use any more.
func (p *Pipeline) keep(ctx context.Context, app lain.AppName) (plan.Kept, error) {
	var past plan.Past
	err := errors.Join(
		values(ctx, p.kinds.runs, app, &past.Runs), // before what runs make
		values(ctx, p.kinds.releases, app, &past.Releases),
		values(ctx, p.kinds.builds, app, &past.Builds),
		values(ctx, p.kinds.wants, app, &past.Wants),
	)
	if err != nil {
		return plan.Kept{}, err
	}
	kept, gone := plan.Keep(past, p.o.Retention, p.o.Now())
	for _, b := range gone {
		if _, err := p.kinds.builds.Delete(ctx, string(app)+"/"+b.Key); err != nil {
			return kept, err
		}
	}
	p.freed("builds", len(gone), 0, nil)
	return kept, nil
}

func values[T any](ctx context.Context, kind state.Kind[T], app lain.AppName, into *[]T) error {
	items, _, err := kind.List(ctx, string(app)+"/")
	for _, item := range items {
		*into = append(*into, item.Value)
	}
	return err
}

func (p *Pipeline) maintain(ctx context.Context, app lain.AppName) error {
	r, err := p.o.Repos.Open(ctx, app)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, maintainTime)
	defer cancel()
	return r.Maintain(ctx)
}

// retainApp deletes the runs of an application that are too old to keep, their logs first.
func (p *Pipeline) retainApp(ctx context.Context, app lain.App) {
	items, _, err := p.kinds.runs.List(ctx, string(app.Name)+"/")
	if err != nil {
		p.o.Logger.Warn("old runs are not forgotten this time", "app", app.Name, "error", err)
		return
	}
	for i, item := range items {
		run := item.Value
		if !run.State.Ended() || !tooOld(run, len(items)-i, p.o.Now()) {
			continue
		}
		if err := os.Remove(p.logPath(run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.o.Logger.Warn("the log of an old run stays", "app", app.Name, "run", run.ID(), "error", err)
			continue
		}
		if _, err := p.kinds.runs.Delete(ctx, item.Key); err != nil {
			p.o.Logger.Warn("the record of an old run stays", "app", app.Name, "run", run.ID(), "error", err)
		}
	}
}

// tooOld decides by outcome: rank is 1 for the newest run of the application.
func tooOld(run lain.Run, rank int, now time.Time) bool {
	if run.State == lain.RunDone {
		return rank > keepRuns
	}
	return now.Sub(run.Ended) > keepFailed
}
