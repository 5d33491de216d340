package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"golang.org/x/sync/errgroup"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/state/reconcile"
)

// Options of a controller. Engine, Store, RegistryHost and HelperPath are needed.
type Options struct {
	Engine       *engine.Engine
	Store        *state.Store
	RegistryHost string // host:port as the nodes reach it
	// RegistryAuth is what nodes pull an application's images with; nil or the zero value: nothing. It must
	// stay the same over restarts of the server: to Swarm it is part of the specification, so a new one
	// restarts containers at the next attempt.
	RegistryAuth  func(lain.AppName) engine.Auth
	Secrets       Secrets       // nil: what the engine lacks stays missing
	HelperPath    string        // of the static helper, the same on every node
	Domain        string        // LAIN_DOMAIN of containers
	ProbeInterval time.Duration // between health checks of a healthy instance; 0: 5 s
	Logger        *slog.Logger  // none if nil
}

// Secrets gives the engine what procs are pinned to.
type Secrets interface {
	Restore(context.Context, lain.AppName, []lain.ProcSpec) error
	Values(context.Context, lain.AppName, []lain.ProcSpec) ([]string, error) // what must not be shown
}

// Controller makes wanted procs true. One may run on an engine for a cluster at a time.
type Controller struct {
	options   Options
	engine    *engine.Engine
	log       *slog.Logger
	wants     state.Kind[lain.ProcWant]
	seen      state.Kind[lain.ProcSeen]
	endpoints state.Kind[lain.Endpoints]
	loop      *reconcile.Loop
	probes    *probes
	now       func() time.Time

	mu       sync.Mutex
	memories map[string]memory             // by proc key
	crashing map[string]bool               // procs that do, by key
	oneOffs  map[string]oneOff             // by their service's name
	closed   map[lain.AppName]bool         // applications that have no one-offs any more
	commands map[string]engine.ImageConfig // by image reference with digest, which never changes
}

// New makes a controller; it does nothing until Run.
func New(o Options) *Controller {
	o.ProbeInterval = orDefault(o.ProbeInterval, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Controller{
		options:   o,
		engine:    o.Engine,
		log:       o.Logger.With("component", "rollout"),
		wants:     state.Of[lain.ProcWant](o.Store, lain.ProcsPrefix),
		seen:      state.Of[lain.ProcSeen](o.Store, lain.SeenPrefix),
		endpoints: state.Of[lain.Endpoints](o.Store, lain.EndpointsPrefix),
		probes:    newProbes(),
		now:       time.Now,
		memories:  map[string]memory{},
		crashing:  map[string]bool{},
		oneOffs:   map[string]oneOff{},
		closed:    map[lain.AppName]bool{},
		commands:  map[string]engine.ImageConfig{},
	}
	c.loop = reconcile.New(reconcile.Options{Name: "rollout", Workers: 4, Sweep: 30 * time.Second, Logger: c.log},
		c.reconcile, c.keys)
	return c
}

// Run works until ctx ends or the store closes, and waits for what it started. It changes nothing on its
// way out: everything goes on running. A controller runs once.
func (c *Controller) Run(ctx context.Context) error {
	c.countCrashing("", false) // so that it is told from the first moment
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error {
		c.probes.await(inner) // else the first look would publish those that are unwell
		return c.loop.Run(inner)
	})
	g.Go(func() error { return c.watchProbes(inner) })
	g.Go(func() error { return c.poll(inner) })
	g.Go(func() error { return c.clearOneOffs(inner) })
	g.Go(func() error {
		return c.wants.Follow(inner, "", func(ch state.Change[lain.ProcWant]) error {
			if !ch.Synced {
				c.loop.Enqueue(ch.Key)
			}
			return nil
		})
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("rollout: %w", err)
	}
	return nil
}

// keys are all procs that are wanted, recorded, or still on the engine.
func (c *Controller) keys(ctx context.Context) ([]string, error) {
	var keys []string
	wants, _, err := c.wants.List(ctx, "")
	for _, w := range wants {
		keys = append(keys, w.Key)
	}
	seen, _, err2 := c.seen.List(ctx, "")
	for _, s := range seen {
		keys = append(keys, s.Key)
	}
	services, err3 := c.engine.Services(ctx, "")
	for _, s := range services {
		keys = append(keys, keyOf(s.Spec.Labels))
	}
	return keys, errors.Join(err, err2, err3)
}

// keyOf is the key of the proc that a service or a container is labelled with.
func keyOf(labels map[string]string) string {
	app, proc := lain.AppName(labels[engine.AppLabel]), lain.ProcName(labels[engine.ProcLabel])
	if engine.IsOneshot(labels) {
		return lain.OneshotKey(app, proc)
	}
	return lain.ProcKey(app, proc)
}

// job is one look at one proc: what is wanted, recorded, there, and remembered.
type job struct {
	key       string
	app       lain.AppName
	proc      lain.ProcName
	oneshot   bool
	want      *lain.ProcWant  // nil: not wanted
	seen      *lain.ProcSeen  // nil: no record
	endpoints *lain.Endpoints // nil: no record
	have      have
	memory    memory
	crashing  *lain.Crashing // nil: it does not
	now       time.Time
}

// reconcile takes one step with one proc.
func (c *Controller) reconcile(ctx context.Context, key string) (reconcile.Result, error) {
	j := &job{key: key}
	var ok bool
	if j.app, j.proc, j.oneshot, ok = lain.SplitProcKey(key); !ok {
		c.log.Warn("a record has no proc's name and is left alone", "key", key)
		return reconcile.Done, nil
	}
	if err := c.readRecords(ctx, j); err != nil {
		return reconcile.Done, err
	}
	j.memory = c.recall(key)
	defer func() { c.remember(key, j.memory) }()
	err := c.observe(ctx, j)
	j.now = c.now() // what was seen is older than this, never newer
	switch {
	case errors.Is(err, engine.ErrForeign) && j.want != nil:
		return c.refused(ctx, j, err)
	case err != nil:
		j.memory.away = true
		return reconcile.Done, err
	}
	j.memory = j.memory.refreshed(j)
	if j.want == nil {
		return c.takeDown(ctx, j)
	}
	if j.oneshot {
		return c.runOnce(ctx, j)
	}
	return c.bringUp(ctx, j)
}

func (c *Controller) readRecords(ctx context.Context, j *job) (err error) {
	if j.want, err = read(ctx, c.wants, j.key); err != nil {
		return err
	}
	if j.seen, err = read(ctx, c.seen, j.key); err != nil {
		return err
	}
	j.endpoints, err = read(ctx, c.endpoints, j.key)
	return err
}

// read is nil for a record that is not there.
func read[T any](ctx context.Context, k state.Kind[T], key string) (*T, error) {
	item, err := k.Get(ctx, key)
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &item.Value, nil
}

func (c *Controller) observe(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, slowestAnswer)
	defer cancel()
	s, err := c.service(ctx, j)
	switch {
	case errors.Is(err, engine.ErrNotFound):
	case err != nil:
		return err
	default:
		j.have.service = &s
	}
	tasks, err := c.engine.Tasks(ctx, j.app, j.proc)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if oneshotTask(t) == j.oneshot && (j.have.service == nil || t.ServiceID == j.have.service.ID) {
			j.have.tasks = append(j.have.tasks, t)
		}
	}
	j.have.unwell = c.probes.unwellOf(j.have.tasks)
	j.have.nodes, err = c.nodes(ctx)
	return err
}

func (c *Controller) service(ctx context.Context, j *job) (swarm.Service, error) {
	if j.oneshot {
		return c.engine.Oneshot(ctx, j.app, j.proc)
	}
	return c.engine.Service(ctx, j.app, j.proc)
}

func (c *Controller) nodes(ctx context.Context) (map[string]engine.Node, error) {
	list, err := c.engine.Nodes(ctx)
	nodes := make(map[string]engine.Node, len(list))
	for _, n := range list {
		nodes[n.ID] = n
	}
	return nodes, err
}

// refreshed forgets what belongs to an older attempt, keeps the failures of this one, and lets the
// attempt's time begin anew where it could not be seen, or waited for its image.
func (m memory) refreshed(j *job) memory {
	if j.want != nil && m.attempt != j.want.Attempt {
		m = memory{attempt: j.want.Attempt, away: m.away}
	}
	if j.have.attempt() == m.attempt { // until the engine has this one, its failures are of another
		j.have.gone = j.have.missing(m.failures)
		if all := j.have.failures(); len(all) <= mostFailures {
			m.failures = all
		}
	}
	if m.away || pulling(j.have, j.now) {
		m.clock = j.now
	}
	m.away = false
	return m
}

func (m memory) began(h have) time.Time {
	if b := h.began(); b.After(m.clock) {
		return b
	}
	return m.clock
}

func (c *Controller) recall(key string) memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memories[key]
}

func (c *Controller) remember(key string, m memory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reflect.ValueOf(m).IsZero() {
		delete(c.memories, key)
		return
	}
	c.memories[key] = m
}
