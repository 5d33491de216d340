// Package reconcile is the loop that every controller uses: it decides when a key is looked at, never
// what is done about it.
//
// It is level-triggered. An event only names a key; the controller's function reads the wanted and the
// actual side itself and brings them together, so it does not matter which event led there, or how many.
// Doubles are folded, a key is worked on by one worker at a time, a failing key is tried again with
// growing pauses of its own, and a slow full pass catches what was lost.
//
// Reconcile reads no record and keeps nothing across a restart: the first full pass finds everything.
package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// The pauses before a failing key is tried again: doubled from the first to the last, each shortened by
// up to a half at random.
const (
	MinBackoff = 100 * time.Millisecond
	MaxBackoff = 30 * time.Second
)

// Result is what a controller's function asks for after it succeeded.
type Result struct {
	After time.Duration // look again after this time; 0: when something happens
}

// Done asks for nothing.
var Done = Result{}

// After asks to look again after d.
func After(d time.Duration) Result { return Result{After: d} }

// Func brings one key to what is wanted. It must be safe to repeat at any time, and for different keys
// at once. An error means "try again"; Result counts only without one.
type Func func(ctx context.Context, key string) (Result, error)

// Options of a loop.
type Options struct {
	Name    string        // of the controller, for the log
	Workers int           // keys worked on at once; 0: 1
	Sweep   time.Duration // between full passes (a tenth is random); 0: only one, at the start
	Logger  *slog.Logger  // none if nil
}

// Loop is one controller at work.
type Loop struct {
	options   Options
	reconcile Func
	list      func(ctx context.Context) ([]string, error)
	queue     *queue
	log       *slog.Logger
	started   atomic.Bool
}

// New makes a loop that calls reconcile for each key that is enqueued, and for each that list returns,
// at the start and on every sweep. list may be nil.
func New(o Options, reconcile Func, list func(ctx context.Context) ([]string, error)) *Loop {
	l := &Loop{options: o, reconcile: reconcile, list: list, queue: newQueue(), log: slog.New(slog.DiscardHandler)}
	if o.Logger != nil {
		l.log = o.Logger.With("controller", o.Name)
	}
	return l
}

// Enqueue asks to look at key soon, also if it is waiting out a failure. It never blocks and may be
// called at any time, from any goroutine, before Run as well. While the key is being worked on, one
// more round follows.
func (l *Loop) Enqueue(key string) { l.queue.add(key) }

// Run works until ctx ends, then waits for its workers and returns nil. A loop runs once.
func (l *Loop) Run(ctx context.Context) error {
	if l.started.Swap(true) {
		return errors.New("the loop " + l.options.Name + " was run before")
	}
	stop := context.AfterFunc(ctx, l.queue.close)
	defer stop()
	var workers sync.WaitGroup
	for range max(1, l.options.Workers) {
		workers.Go(func() { l.work(ctx) })
	}
	l.sweep(ctx)
	workers.Wait()
	return nil
}

// sweep makes the full passes. One that fails is tried again as a failing key would be.
func (l *Loop) sweep(ctx context.Context) {
	failures := 0
	for l.list != nil && ctx.Err() == nil {
		keys, err := l.list(ctx)
		for _, key := range keys {
			l.queue.remind(key)
		}
		if err == nil && l.options.Sweep <= 0 {
			break
		}
		pause := l.options.Sweep - rand.N(max(0, l.options.Sweep)/10+1)
		if failures++; err == nil {
			failures = 0
		} else if ctx.Err() == nil {
			pause = backoff(failures)
			l.log.Warn("full pass failed", "error", err, "again", pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	<-ctx.Done()
}

func (l *Loop) work(ctx context.Context) {
	for {
		key, failures, ok := l.queue.take()
		if !ok {
			return
		}
		result, err := l.reconcile(ctx, key)
		switch {
		case err == nil:
			l.queue.done(key, 0, result.After)
		case ctx.Err() != nil:
			l.queue.done(key, 0, 0)
		default:
			pause := backoff(failures + 1)
			l.log.Warn("reconcile failed", "key", key, "error", err, "failures", failures+1, "again", pause)
			l.queue.done(key, failures+1, pause)
		}
	}
}

// backoff is the pause after so many failures in a row.
func backoff(failures int) time.Duration {
	d := MaxBackoff
	if shift := failures - 1; shift < 16 {
		d = min(MinBackoff<<shift, MaxBackoff)
	}
	return d - rand.N(d/2)
}
