package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/router/conf"
	"lain.internal/lain/router/nginx"
)

// apply brings nginx to what is wanted, as far as it can be served, and returns what was refused. It
// returns nil only when the running nginx serves exactly that.
func (r *Router) apply(ctx context.Context, want sight) (refused map[string]string, err error) {
	r.bad = still(r.bad, want)
	p := plan(want, r.good, r.bad)
	config, err := r.render(p)
	if err != nil {
		return nil, err
	}
	live, err := r.nginx.Generation(ctx)
	lives := err == nil && live == config.Generation && r.nginx.Alive()
	if !lives {
		if p, config, err = r.tested(ctx, want, p, config); err != nil {
			return nil, err
		}
	}
	if err := r.publish(p.apps); err != nil {
		return nil, err
	}
	if !lives {
		if err := r.enact(ctx, r.nginx, config); err != nil {
			return nil, err
		}
	}
	if err := r.linkCalls(p.apps); err != nil {
		return nil, err
	}
	return p.refused, r.remember(p.good)
}

func (r *Router) render(p planned) (conf.Config, error) {
	at := paths(r.nginx)
	if r.callable() {
		at.Calls = r.nginx.Files.Calls
	}
	config, err := conf.Render(conf.Model{Paths: at, Stream: r.stream, User: r.nginx.User, MaxFiles: nginx.MaxFiles(), HTTPSPort: r.httpsPort(), Apps: p.apps})
	if err != nil {
		return conf.Config{}, fmt.Errorf("render the configuration: %w", err)
	}
	return config, nil
}

// tested returns a configuration that nginx accepts: the planned one, or one without the routes that are
// to blame.
func (r *Router) tested(ctx context.Context, want sight, p planned, config conf.Config) (planned, conf.Config, error) {
	err := r.test(ctx, config.Text)
	if _, ok := errors.AsType[*nginx.RefusedError](err); !ok {
		return p, config, err
	}
	bad, err := r.blame(ctx, want, p, err)
	if err != nil {
		return p, config, err
	}
	r.bad = bad
	p = plan(want, r.good, r.bad)
	if config, err = r.render(p); err == nil {
		err = r.test(ctx, config.Text)
	}
	return p, config, err
}

// blame finds which of the new routes nginx refuses. When it refuses the old ones as well, the fault is
// not in the routes, and whole is returned.
func (r *Router) blame(ctx context.Context, want sight, p planned, whole error) (map[string]grudge, error) {
	bad := maps.Clone(r.bad)
	wanted := map[string]grudge{}
	for _, item := range want.routes {
		if slices.Contains(p.fresh, item.Key) {
			wanted[item.Key] = grudge{routes: item.Value.Routes, reason: "not tried yet"}
		}
	}
	maps.Copy(bad, wanted)
	if err := r.try(ctx, want, bad); err != nil {
		return nil, whole
	}
	return bad, r.bisect(ctx, want, bad, p.fresh)
}

// bisect takes the routes of as many applications as nginx accepts out of bad, and gives the others its
// reason. The applications outside of the list stay as they are in bad.
func (r *Router) bisect(ctx context.Context, want sight, bad map[string]grudge, apps []string) error {
	without := maps.Clone(bad)
	for _, app := range apps {
		delete(without, app)
	}
	err := r.try(ctx, want, without)
	refusal, refused := errors.AsType[*nginx.RefusedError](err)
	switch {
	case err == nil:
		for _, app := range apps {
			delete(bad, app)
		}
		return nil
	case !refused:
		return err
	case len(apps) == 1:
		bad[apps[0]] = grudge{routes: bad[apps[0]].routes, reason: "nginx refuses its routes: " + refusal.Message}
		r.log.Warn("nginx refuses the routes of an application", "app", apps[0], "reason", refusal.Message)
		return nil
	}
	half := len(apps) / 2
	return errors.Join(r.bisect(ctx, want, bad, apps[:half]), r.bisect(ctx, want, bad, apps[half:]))
}

func (r *Router) try(ctx context.Context, want sight, bad map[string]grudge) error {
	config, err := r.render(plan(want, r.good, bad))
	if err != nil {
		return err
	}
	return r.test(ctx, config.Text)
}

// enact puts a tested configuration in place and waits until it lives.
func (r *Router) enact(ctx context.Context, n *nginx.Server, config conf.Config) error {
	if err := n.Install(config.Text); err != nil {
		return err
	}
	if n.Alive() {
		return n.Reload(ctx, config.Generation)
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	r.log.Info("started nginx", "pid", n.PID(), "config", n.Files.Config)
	if live, err := n.Generation(ctx); err != nil || live != config.Generation {
		return fmt.Errorf("nginx was started and serves %q: %w", live, err)
	}
	return nil
}

// remember keeps the last good routes over a restart of ours.
func (r *Router) remember(good routeTable) error {
	if good.equal(r.good) {
		return nil
	}
	if err := failpoint.Around("router.good", func() error { return good.write(r.goodFile()) }); err != nil {
		return err
	}
	r.good = good
	return nil
}
