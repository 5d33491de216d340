// Package router keeps a node's nginx in step with the routes and endpoints of the cluster.
//
// The wanted side is the records routes/ and endpoints/; the actual side is the generation that the
// running nginx answers. A configuration is rendered whole, tested by nginx, put in place and reloaded, and
// counts as applied when only workers that know it take connections. An application whose routes cannot be
// served keeps the last ones that could, and the reason is written into nodes/<node>/router.
//
// There are two of them. Clients are connected to the edge, which knows no application and is not reloaded
// when one changes; it hands every request over to the other, which is. So no connection that a client keeps
// alive is closed by somebody's deploy while a request is on its way on it.
//
// The edge ends TLS as well, where that is switched on. It finds the certificate of a host at each handshake, by a
// link that we keep, so certificates come and go without a reload (certs).
//
// Both outlive us: Run leaves them running, the next Run adopts them, and only Down stops them.
//
// Router does not speak to Swarm, and who may have a host was decided before a route became a record.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"time"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/router/certs"
	"lain.internal/lain/router/nginx"
	"lain.internal/lain/state"
)

const (
	watchEvery  = 250 * time.Millisecond // how soon a dead nginx is noticed
	idle        = 100 * time.Millisecond // least time between two reloads
	idleOfMany  = time.Second            // the same, beyond manyApps
	manyApps    = 1000
	longestWait = 10 * time.Second // between two tries of what fails
	stableAfter = 10 * time.Second // an nginx that lived this long did not die of its start
)

// rotation says when nginx's logs are set aside, and how many of each are kept beside the newest.
type rotation struct {
	every time.Duration
	limit int64 // bytes
	kept  int
}

var usualRotation = rotation{every: time.Minute, limit: 64 << 20, kept: 4}

// Options say what to route and where nginx lives.
type Options struct {
	Store     *state.Store
	Node      string // names the record nodes/<node>/router
	Dir       string // absolute, ours alone: configuration, logs, temporary files
	RunDir    string // absolute: pid file and sockets, in a folder "router" of their own
	HTTPAddr  string // ip:port, or :port for every address
	HTTPSAddr string // the same, where TLS is ended; "": nowhere
	HTTP2Addr string // the same, where HTTP/2 is spoken without TLS; "": nowhere
	HTTPSPort int    // of https as people reach it; 0: that of HTTPSAddr
	CertDir   string // absolute, the operator's: certificates as NAME.crt and NAME.key; used with HTTPSAddr
	NginxPath string // "": nginx from PATH, or /usr/sbin/nginx
	Logger    *slog.Logger
}

// Router drives an nginx and its edge. Run and Down are not to be called at the same time.
type Router struct {
	options   Options
	log       *slog.Logger
	nginx     *nginx.Server // knows the applications
	edge      *nginx.Server // holds the connections of clients
	routes    state.Kind[lain.AppRoutes]
	endpoints state.Kind[lain.Endpoints]
	seen      state.Kind[lain.RouterSeen]

	certs     *certs.Keeper
	troubles  map[string]string // with certificates, as told last
	links     map[string]string // host to the certificate that was published
	unseen    map[string]sample // published certificates that no handshake has shown yet
	listenTLS []string          // none: TLS is off
	read      bool              // the certificates have been looked at once
	swept     time.Time         // when copies that nobody uses were looked for
	ask       chan chan error   // for a look at the certificates, now

	logs    rotation
	listen  []string
	stream  string            // nginx's stream module, where it is a file
	listen2 []string          // without TLS, for HTTP/2 alone; none: nowhere
	good    routeTable        // what was applied last, by application
	bad     map[string]grudge // what nginx refused, by application
	last    lain.RouterSeen   // as written
	test    func(context.Context, []byte) error
}

// New makes a router. Nothing is started or read before Run.
func New(o Options) *Router {
	log := o.Logger.With("component", "router")
	n := nginx.New(nginx.Options{Program: o.NginxPath, Dir: o.Dir, RunDir: o.RunDir, Logger: log})
	edge := nginx.New(nginx.Options{Program: o.NginxPath, Dir: filepath.Join(o.Dir, "edge"), RunDir: filepath.Join(o.RunDir, "edge"), Logger: log})
	r := &Router{options: o, log: log, nginx: n, edge: edge, test: n.Test,
		routes:    state.Of[lain.AppRoutes](o.Store, lain.RoutesPrefix),
		endpoints: state.Of[lain.Endpoints](o.Store, lain.EndpointsPrefix),
		seen:      state.Of[lain.RouterSeen](o.Store, lain.NodesPrefix),
		logs:      usualRotation,
		bad:       map[string]grudge{}, unseen: map[string]sample{}, ask: make(chan chan error)}
	r.certs = r.newKeeper()
	return r
}

// Run adopts or starts nginx and keeps it in step until ctx ends; then it returns nil and leaves nginx
// running. It fails at once when the machine has no nginx, when its folders cannot be made or when
// HTTPAddr is none; any later trouble is logged and tried again.
func (r *Router) Run(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	changed := r.options.Store.Signal(ctx, lain.RoutesPrefix, lain.EndpointsPrefix)
	defer func() {
		cancel()
		for range changed { // closed when nothing of ours runs in the store any more
		}
	}()
	return r.loop(ctx, changed)
}

// Down stops nginx: requests under way get ten seconds. It works without a Run before it, and is nil when
// no nginx of ours runs.
func (r *Router) Down(ctx context.Context) error {
	return errors.Join(r.edge.Down(ctx), r.nginx.Down(ctx))
}

func (r *Router) prepare() (err error) {
	if r.listen, err = listenAddresses(r.options.HTTPAddr); err != nil {
		return err
	}
	if r.options.HTTP2Addr != "" {
		if r.listen2, err = listenAddresses(r.options.HTTP2Addr); err != nil {
			return err
		}
	}
	if err := r.nginx.Prepare(); err != nil {
		return err
	}
	if err := r.edge.Prepare(); err != nil {
		return err
	}
	if err := errors.Join(r.prepareTLS(), r.prepareCalls()); err != nil {
		return err
	}
	r.good, err = readTable(r.goodFile())
	return err
}

func (r *Router) goodFile() string { return filepath.Join(r.options.Dir, "good.json") }

// loop decides when to look: after a change, after nginx died, after a failure; and never sooner than the
// pace allows.
func (r *Router) loop(ctx context.Context, changed <-chan struct{}) error {
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	pace := &pace{mourned: map[*nginx.Server]int{}}
	look := r.certificateClock()
	defer look.Stop()
	rotate := time.NewTicker(r.logs.every)
	defer rotate.Stop()
	for {
		wait := pace.timer()
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-changed:
			if !open {
				return closed(ctx)
			}
			pace.dirty, pace.tell = true, true
		case <-watch.C:
			for _, n := range []*nginx.Server{r.nginx, r.edge} {
				pace.dirty = pace.died(n) || pace.dirty
			}
		case <-rotate.C:
			r.rotate()
		case <-look.C:
			pace.dirty = r.watchCertificates(ctx) || pace.dirty
		case done := <-r.ask:
			changed, err := r.lookAtCertificates(ctx, true)
			pace.dirty = changed || pace.dirty
			done <- err
		case <-wait:
		}
		if pace.ready(time.Now()) {
			pace.done(r.pass(ctx, pace.tell), len(r.good))
			r.complain(ctx, pace)
		}
	}
}

// rotate bounds what nginx's logs take up.
func (r *Router) rotate() {
	err := errors.Join(r.nginx.Rotate(r.logs.limit, r.logs.kept), r.edge.Rotate(r.logs.limit, r.logs.kept))
	if err != nil {
		r.log.Warn("the logs of nginx grow on", "error", err)
	}
}

func closed(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("router: the store was closed")
}

func (r *Router) complain(ctx context.Context, p *pace) {
	if p.err != nil && ctx.Err() == nil {
		r.log.Error("the router is behind its records", "error", p.err, "again_in", time.Until(p.notBefore).Round(time.Millisecond))
	}
}

// pass reads both sides and brings nginx to the wanted one. tell: a record has changed, so that somebody
// may wait for our answer even if nothing is different for nginx.
func (r *Router) pass(ctx context.Context, tell bool) error {
	if err := errors.Join(r.adopt(r.nginx), r.adopt(r.edge)); err != nil {
		return err
	}
	want, err := r.look(ctx)
	if err != nil {
		return errors.Join(err, r.serveOld(ctx))
	}
	r.firstCertificates(ctx)
	want.fits = r.fits()
	refused, err := r.apply(ctx, want)
	if errors.Is(err, nginx.ErrStart) {
		return err
	}
	if err != nil {
		return errors.Join(err, r.serveOld(ctx))
	}
	if err := r.applyEdge(ctx); err != nil {
		return err
	}
	r.verify(ctx)
	return r.report(ctx, want.revision, r.dark(want, refused), tell)
}

// look reads both kinds of records. Everything up to the smaller of the two revisions is in what it saw.
func (r *Router) look(ctx context.Context) (sight, error) {
	routes, first, err := r.routes.List(ctx, "")
	if err != nil {
		return sight{}, fmt.Errorf("read routes: %w", err)
	}
	endpoints, second, err := r.endpoints.List(ctx, "")
	if err != nil {
		return sight{}, fmt.Errorf("read endpoints: %w", err)
	}
	return sight{routes: routes, endpoints: endpoints, revision: min(first, second)}, nil
}

// serveOld starts a dead nginx with the configuration it had, when no newer one can be made, and sees to
// the edge, which needs nothing newer.
func (r *Router) serveOld(ctx context.Context) error {
	if !r.nginx.Installed() || ctx.Err() != nil {
		return nil
	}
	if !r.nginx.Alive() {
		if err := r.nginx.Start(ctx); err != nil {
			return err
		}
	}
	return r.applyEdge(ctx)
}

func (r *Router) report(ctx context.Context, revision int64, refused map[string]string, tell bool) error {
	if maps.Equal(refused, r.last.Refused) && maps.Equal(r.troubles, r.last.Certificates) && !(tell && revision != r.last.Revision) {
		return nil
	}
	next := lain.RouterSeen{Node: r.options.Node, Revision: revision, Refused: refused, Certificates: maps.Clone(r.troubles), At: time.Now().UTC()}
	err := failpoint.Around("router.seen", func() error {
		_, err := r.seen.Put(ctx, r.options.Node+"/router", next)
		return err
	})
	if err != nil {
		return fmt.Errorf("say how far the router is: %w", err)
	}
	r.last = next
	return nil
}
