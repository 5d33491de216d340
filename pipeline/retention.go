package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"lain.internal/lain/lain"
)

// What is kept of the past. Objects that only a refused push brought go when git's own grace time is over
// (repo.Maintain).
const (
	keepFailed   = 7 * 24 * time.Hour // record and log of a run that made no release
	keepRuns     = 200                // of the newest, that did
	retainEvery  = 6 * time.Hour
	retainAfter  = 10 * time.Minute // a start has better things to do first
	maintainTime = 30 * time.Minute
)

// Retain forgets old runs and packs repositories, every six hours, until ctx ends.
func (p *Pipeline) Retain(ctx context.Context) error {
	timer := time.NewTimer(retainAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			p.retainAll(ctx)
			timer.Reset(retainEvery)
		}
	}
}

func (p *Pipeline) retainAll(ctx context.Context) {
	apps, _, err := p.kinds.apps.List(ctx, "")
	if err != nil {
		p.o.Logger.Warn("old runs are not forgotten this time", "error", err)
		return
	}
	for _, a := range apps {
		p.retainApp(ctx, a.Value)
		if err := p.maintain(ctx, a.Value.Name); err != nil && ctx.Err() == nil {
			p.o.Logger.Warn("a repository is not packed this time", "app", a.Value.Name, "error", err)
		}
	}
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
