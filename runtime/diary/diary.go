// Package diary keeps what happened to the instances of each application: that they started, died and why, became
// unwell and well again.
//
// It compares each record of seen/ with the one before it, and writes one record for each application, which is
// bounded. The same again and again is one line with a number, and is written the more seldom the longer it goes on: a
// crash loop costs a write in five minutes, and instances that are well none. What nobody saw, since the server was
// down, is not in it.
//
// The diary decides nothing: it is for people.
package diary

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// Ends tells how a task ended; the engine does.
type Ends interface {
	TaskEnd(ctx context.Context, task string) (engine.TaskEnd, error)
}

// Options of a keeper. All are needed.
type Options struct {
	Store  *state.Store
	Ends   Ends
	Logger *slog.Logger
	Now    func() time.Time
}

// Keeper writes the diaries.
type Keeper struct {
	o      Options
	apps   state.Kind[lain.App]
	seen   state.Kind[lain.ProcSeen]
	books  state.Kind[lain.Diary]
	last   map[string]lain.ProcSeen // by key; only Follow's goroutine uses it
	synced bool

	mu    sync.Mutex
	pages map[lain.AppName]*page
}

// page is what is not written yet of an application.
type page struct {
	lines lain.Diary    // to be added
	known lain.Diary    // that were, as far as this process knows
	due   time.Time     // zero: nothing is to be written
	pause time.Duration // before the same is written again
}

const (
	soon    = 2 * time.Second // before something new is written, so that what belongs together is one write
	seldom  = 5 * time.Minute // at most, before the same is written again
	asking  = 3 * time.Second // for an answer of the engine
	writing = 5 * time.Second // for the last writes of a server that stops
)

// New makes a keeper; it does nothing until Run.
func New(o Options) *Keeper {
	return &Keeper{o: o, apps: state.Of[lain.App](o.Store, lain.AppsPrefix), seen: state.Of[lain.ProcSeen](o.Store, lain.SeenPrefix),
		books: state.Of[lain.Diary](o.Store, lain.DiaryPrefix), last: map[string]lain.ProcSeen{}, pages: map[lain.AppName]*page{}}
}

// Run works until ctx ends, writes what is left, and returns.
func (k *Keeper) Run(ctx context.Context) error {
	k.sweep(ctx)
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error {
		return k.seen.Follow(inner, "", func(ch state.Change[lain.ProcSeen]) error { k.changed(inner, ch); return nil })
	})
	g.Go(func() error { return k.write(inner) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("diary: %w", err)
	}
	return nil
}

// changed compares a record with what it was. What was there before the start is not news.
func (k *Keeper) changed(ctx context.Context, ch state.Change[lain.ProcSeen]) {
	if ch.Synced {
		k.synced = true
		return
	}
	before := k.last[ch.Key]
	if ch.Deleted {
		delete(k.last, ch.Key)
		return
	}
	k.last[ch.Key] = ch.Value
	if !k.synced {
		return
	}
	for _, n := range compare(before, ch.Value) {
		k.add(ch.Value.App, k.line(ctx, ch.Value, n))
	}
}

// line is what happened, with what the engine knows of an end.
func (k *Keeper) line(ctx context.Context, p lain.ProcSeen, n news) lain.DiaryLine {
	at := k.o.Now().UTC()
	l := lain.DiaryLine{First: at, At: at, Times: 1, What: n.what, Proc: p.Proc, Instance: n.of.Number, Release: n.of.Release, Reason: n.of.Reason}
	if n.what != lain.Died {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	end, err := k.o.Ends.TaskEnd(ctx, n.of.Task)
	if err != nil {
		return l // the reason of the record has to do
	}
	l.OOM, l.Reason = end.OOM, end.Reason
	if end.Ran {
		l.ExitCode = &end.ExitCode
	}
	return l
}

// add notes a line. New ones are due at once, those that are known when their pause is over.
func (k *Keeper) add(app lain.AppName, l lain.DiaryLine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pages[app]
	if p == nil {
		p = &page{pause: soon}
		k.pages[app] = p
	}
	p.lines.Add(l)
	if known := p.known.Add(l); !known {
		p.pause = soon
	}
	if due := k.o.Now().Add(p.pause); p.due.IsZero() || due.Before(p.due) {
		p.due = due
	}
}

// write writes pages that are due, each second, and all of them at the end.
func (k *Keeper) write(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
			defer cancel()
			k.flush(last, true)
			return nil
		case <-tick.C:
			k.flush(ctx, false)
		}
	}
}

// flush writes what is due, or all. What cannot be written is tried again.
func (k *Keeper) flush(ctx context.Context, all bool) {
	for app, lines := range k.due(all) {
		if err := k.put(ctx, app, lines); err != nil {
			k.o.Logger.Warn("the diary is not written this time", "app", app, "error", err)
			for _, l := range lines {
				k.add(app, l)
			}
		}
	}
}

// due takes what is to be written now. The next time that the same is to be written will be later.
func (k *Keeper) due(all bool) map[lain.AppName][]lain.DiaryLine {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	list := map[lain.AppName][]lain.DiaryLine{}
	for app, p := range k.pages {
		if p.due.IsZero() || p.due.After(now) && !all {
			continue
		}
		list[app] = p.lines.Lines
		p.lines, p.due, p.pause = lain.Diary{}, time.Time{}, min(2*p.pause, seldom)
	}
	return list
}

// put adds lines to the record of an application, unless that is gone.
func (k *Keeper) put(ctx context.Context, app lain.AppName, lines []lain.DiaryLine) error {
	if _, err := k.apps.Get(ctx, string(app)); errors.Is(err, state.ErrNotFound) {
		k.forget(app)
		return nil
	}
	book, err := k.books.Get(ctx, string(app))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	d := book.Value
	d.App = app
	for _, l := range lines {
		d.Add(l)
	}
	_, err = k.books.Put(ctx, string(app), d)
	return err
}

func (k *Keeper) forget(app lain.AppName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pages, app)
}

// sweep removes the diaries of applications that are gone: one may have been written while its application went.
func (k *Keeper) sweep(ctx context.Context) {
	books, _, err := k.books.List(ctx, "")
	for _, b := range books {
		if _, gone := k.apps.Get(ctx, b.Key); errors.Is(gone, state.ErrNotFound) {
			_, one := k.books.Delete(ctx, b.Key)
			err = errors.Join(err, one)
		}
	}
	if err != nil && ctx.Err() == nil {
		k.o.Logger.Warn("old diaries are not removed this time", "error", err)
	}
}
