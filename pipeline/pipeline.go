package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"lain.internal/lain/builder"
	"lain.internal/lain/engine"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/pipeline/runlog"
	"lain.internal/lain/state"
)

// Builder makes images; package builder has the real one.
type Builder interface {
	Open(context.Context, builder.Request, report.Reporter) (Job, error)
	Has(context.Context, lain.ImageRef) (bool, error)       // is it in the registry?
	Foreign(context.Context, string) (lain.ImageRef, error) // resolves an image that lain.yaml names
}

// Job is one build; its methods are its stages, in the order they are declared. BuildImage is none: it makes an image of what Build
// made, in the engine alone, and returns its id there.
type Job interface {
	Key() string
	PrepareName() string
	Bases() []lain.BuildBase
	NeedsPrepare(context.Context) (bool, error)
	Prepare(context.Context) error
	Build(context.Context) error
	Test(context.Context) error
	Release(context.Context) error
	Push(context.Context) (lain.ImageRef, error)
	BuildImage(context.Context) (id string, err error)
	Close() error
}

// Repositories gives the repository of an application.
type Repositories interface {
	Open(context.Context, lain.AppName) (*repo.Repository, error)
}

// Output reads what a container writes; package engine has the real one.
type Output interface {
	TaskLines(ctx context.Context, task string, since time.Time, follow bool, fn func(engine.LogLine) error) error
}

// Options are what a pipeline works with. All fields are needed unless they say otherwise.
type Options struct {
	Store   *state.Store
	Builder Builder
	Repos   Repositories
	Output  Output // nil: what oneshot procs write is not in the run's log
	Secrets Secrets
	LogDir  string // run logs, <app>/<number>.jsonl below it
	Cluster plan.Cluster
	URL     func(lain.Route) string // how people reach a route

	// Certified returns nil when a host can be served over https, or a fault that says what is missing. nil: none can.
	Certified func(ctx context.Context, host string) error

	NodeMemory   func(context.Context) (int64, error) // of the largest node, bytes; nil: not known
	MaxTreeBytes int64                                // of a commit's files together; 0: any

	Room      func() error    // a fault while the disks have no room for a build; nil: there is always room
	Retention plan.Retention  // zero fields: 10 releases, and 7 days
	Cleaners  []Cleaner       // what takes old images away
	Collector SecretCollector // what takes old secrets away; nil: nothing

	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
	ID     string           // of this process, to mark the runs it drives
}

// Pipeline drives the runs of all applications. It is safe for concurrent use.
type Pipeline struct {
	o     Options
	kinds kinds

	hurry  chan struct{}   // retention is wanted at once
	base   context.Context // ends when the process gives its runs up
	giveUp context.CancelCauseFunc
	runs   sync.WaitGroup

	mu       sync.Mutex
	lanes    map[lain.AppName]*lane
	live     map[string]*execution // by run key
	stopping bool
}

// kinds are the records the pipeline reads and writes.
type kinds struct {
	apps      state.Kind[lain.App]
	releases  state.Kind[lain.Release]
	runs      state.Kind[lain.Run]
	owners    state.Kind[string]
	wants     state.Kind[lain.ProcWant]
	seen      state.Kind[lain.ProcSeen]
	ended     state.Kind[lain.ProcSeen] // of oneshot procs
	diaries   state.Kind[lain.Diary]
	routes    state.Kind[lain.AppRoutes]
	hosts     state.Kind[lain.HostClaim]
	builds    state.Kind[lain.Build]
	endpoints state.Kind[lain.Endpoints]
	routers   state.Kind[lain.RouterSeen]
}

// Errors that end a run from outside.
var (
	errStopping = fault.New(fault.Unavailable, "the server is shutting down, nothing was changed").
			WithHint("Push again in a moment.")
	errLost = errors.New("this process ends; its next start takes the run over")
)

// New makes a pipeline. Start must be called before runs are submitted.
func New(o Options) *Pipeline {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Retention = withDefaults(o.Retention)
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	p := &Pipeline{o: o, hurry: make(chan struct{}, 1), lanes: map[lain.AppName]*lane{}, live: map[string]*execution{}}
	p.kinds = kinds{
		apps:      state.Of[lain.App](o.Store, lain.AppsPrefix),
		releases:  state.Of[lain.Release](o.Store, lain.ReleasesPrefix),
		runs:      state.Of[lain.Run](o.Store, lain.RunsPrefix),
		owners:    state.Of[string](o.Store, lain.OwnersPrefix),
		wants:     state.Of[lain.ProcWant](o.Store, lain.ProcsPrefix),
		seen:      state.Of[lain.ProcSeen](o.Store, lain.SeenPrefix),
		ended:     state.Of[lain.ProcSeen](o.Store, lain.OneshotsPrefix),
		routes:    state.Of[lain.AppRoutes](o.Store, lain.RoutesPrefix),
		hosts:     state.Of[lain.HostClaim](o.Store, lain.HostsPrefix),
		builds:    state.Of[lain.Build](o.Store, lain.BuildsPrefix),
		diaries:   state.Of[lain.Diary](o.Store, lain.DiaryPrefix),
		endpoints: state.Of[lain.Endpoints](o.Store, lain.EndpointsPrefix),
		routers:   state.Of[lain.RouterSeen](o.Store, lain.NodesPrefix),
	}
	p.base, p.giveUp = context.WithCancelCause(context.Background())
	return p
}

// Drain takes no more runs, tells those that wait to come back, and waits for those that move. When ctx ends
// first, builds are stopped and marked interrupted, and rollouts are left to the next start. A run whose
// pusher was answered already is never told to come back: the next start goes on with it. Drain returns when
// no run moves any more, and may be called again.
func (p *Pipeline) Drain(ctx context.Context) {
	p.mu.Lock()
	p.stopping = true
	for _, l := range p.lanes {
		for _, w := range l.waiting {
			if !w.detached() {
				w.tryCancel(errStopping)
			}
		}
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { p.runs.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		p.interrupt()
		p.giveUp(errLost)
		<-done
	}
}

// interrupt ends the runs that have changed nothing yet, and whose pushers can be told so.
func (p *Pipeline) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.live {
		if !e.detached() {
			e.tryCancel(errStopping)
		}
	}
}

// Get returns the record of a run.
func (p *Pipeline) Get(ctx context.Context, app lain.AppName, number int) (lain.Run, error) {
	item, err := p.kinds.runs.Get(ctx, lain.NumberKey(app, number))
	if errors.Is(err, state.ErrNotFound) {
		return lain.Run{}, fault.New(fault.NotFound, "%s has no run r-%d", app, number).
			WithHint("See: runs %s", app)
	}
	return item.Value, err
}

// Wait blocks until the run has ended and returns its record.
func (p *Pipeline) Wait(ctx context.Context, app lain.AppName, number int) (lain.Run, error) {
	if e := p.find(app, number); e != nil {
		select {
		case <-e.done:
		case <-ctx.Done():
			return lain.Run{}, context.Cause(ctx)
		}
	}
	return p.Get(ctx, app, number)
}

// Follow calls fn with every event of a run from its first, and returns when the run has ended and all was
// handed over, or with ctx's cause, or fn's error.
func (p *Pipeline) Follow(ctx context.Context, app lain.AppName, number int, fn func([]report.Event) error) error {
	e := p.find(app, number)
	run, err := p.Get(ctx, app, number)
	if err != nil {
		return err
	}
	var live *runlog.Log
	if e != nil {
		live = e.log
	}
	return runlog.Follow(ctx, p.logPath(run), live, fn)
}

// Cancel stops a run that has not begun its rollout. Why is told to whoever follows it.
func (p *Pipeline) Cancel(ctx context.Context, app lain.AppName, number int, why string) error {
	e := p.find(app, number)
	if e == nil {
		run, err := p.Get(ctx, app, number)
		if err != nil {
			return err
		}
		return fault.New(fault.Conflict, "%s of %s has ended already (%s)", run.ID(), app, run.State)
	}
	if !e.tryCancel(fault.New(fault.Cancelled, "%s", why)) {
		return fault.New(fault.Conflict, "%s of %s is being rolled out and can't be cancelled any more", e.asked.ID(), app).
			WithHint("Follow it with: runs attach %s %s", app, e.asked.ID())
	}
	return nil
}

// Detach tells a run that nobody waits for it any more; it goes on, and a new start of the server goes on
// with it.
func (p *Pipeline) Detach(ctx context.Context, app lain.AppName, number int) error {
	e := p.find(app, number)
	if e == nil {
		return nil
	}
	return e.update(ctx, func(r *lain.Run) { r.Detached = true })
}

func (p *Pipeline) find(app lain.AppName, number int) *execution {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live[lain.NumberKey(app, number)]
}

func (p *Pipeline) logPath(run lain.Run) string { return filepath.Join(p.o.LogDir, run.Log) }

func logName(app lain.AppName, number int) string {
	return filepath.Join(string(app), fmt.Sprintf("%010d.jsonl", number))
}
