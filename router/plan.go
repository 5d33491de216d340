package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/router/conf"
	"lain.internal/lain/state"
)

// sight is what the store wants, all of it up to a revision.
type sight struct {
	routes    []state.Item[lain.AppRoutes]
	endpoints []state.Item[lain.Endpoints]
	revision  int64
	fits      func(host string) bool // there is a certificate for the host; nil: for none
}

// grudge is nginx's word against the very routes it saw.
type grudge struct {
	routes []lain.Route
	reason string
}

// planned is what to serve.
type planned struct {
	apps    []conf.App
	fresh   []string          // applications whose routes are not the last good ones, sorted
	good    routeTable        // the last good routes once this is applied
	refused map[string]string // application to reason
}

// plan decides which routes of each application are served: the wanted ones when they can be, else the
// last good ones. A host that two applications want goes to the one whose name sorts first; routes that
// are only still there for want of better ones give way to wanted ones.
func plan(want sight, good routeTable, bad map[string]grudge) planned {
	p := planned{good: routeTable{}, refused: map[string]string{}}
	owners := map[string]string{}
	serve := routeTable{}
	for _, item := range want.routes { // sorted by key
		app, routes := item.Key, item.Value.Routes
		if reason := objection(want, app, routes, good[app], bad[app], owners); reason != "" {
			p.refused[app] = reason
			continue
		}
		serve[app], p.good[app] = routes, routes
		claim(owners, app, routes)
		if !slices.Equal(routes, good[app]) {
			p.fresh = append(p.fresh, app)
		}
	}
	for _, app := range sorted(p.refused) {
		if old, ok := good[app]; ok {
			p.good[app] = old
			serve[app] = remaining(owners, app, old)
			claim(owners, app, serve[app])
		}
	}
	p.apps = join(serve, addresses(want.endpoints))
	return p
}

// objection says why these routes cannot be served, or "". Routes that are served already stay when their
// certificate goes: they are still kept from those who come without TLS.
func objection(want sight, app string, routes, good []lain.Route, bad grudge, owners map[string]string) string {
	if err := conf.CheckRoutes(lain.AppName(app), routes); err != nil {
		return err.Error()
	}
	if bad.reason != "" && slices.Equal(bad.routes, routes) {
		return bad.reason
	}
	for _, r := range routes {
		if r.HTTPSOnly && (want.fits == nil || !want.fits(r.Host)) && !slices.Equal(routes, good) {
			return fmt.Sprintf("%s%s is https_only, but there is no certificate for %s", r.Host, r.Path, r.Host)
		}
		if other, ok := owners[r.Host]; ok && other != app {
			return fmt.Sprintf("%s is already served for the application %s: choose another host", r.Host, other)
		}
	}
	return ""
}

// still are the grudges against routes that are wanted as they were.
func still(bad map[string]grudge, want sight) map[string]grudge {
	kept := map[string]grudge{}
	for _, item := range want.routes {
		if g, ok := bad[item.Key]; ok && slices.Equal(g.routes, item.Value.Routes) {
			kept[item.Key] = g
		}
	}
	return kept
}

func claim(owners map[string]string, app string, routes []lain.Route) {
	for _, r := range routes {
		owners[r.Host] = app
	}
}

// remaining are the old routes that can still be served: good.json is read back from a disk, and a host
// may have got another owner since.
func remaining(owners map[string]string, app string, old []lain.Route) []lain.Route {
	if conf.CheckRoutes(lain.AppName(app), old) != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(old), func(r lain.Route) bool {
		other, ok := owners[r.Host]
		return ok && other != app
	})
}

// addresses are the endpoints that can be routed to, by "app/proc".
func addresses(items []state.Item[lain.Endpoints]) map[string][]string {
	all := map[string][]string{}
	for _, item := range items {
		for _, a := range item.Value.Addresses {
			if canonical, err := conf.CheckAddress(a); err == nil {
				all[item.Key] = append(all[item.Key], canonical)
			}
		}
	}
	return all
}

// join gives each application the endpoints of its routed procs.
func join(serve routeTable, endpoints map[string][]string) []conf.App {
	var apps []conf.App
	for _, name := range sorted(serve) {
		app := conf.App{Name: lain.AppName(name), Routes: serve[name], Endpoints: map[lain.ProcName][]string{}}
		for _, r := range app.Routes {
			app.Endpoints[r.Proc] = endpoints[lain.ProcKey(app.Name, r.Proc)]
		}
		apps = append(apps, app)
	}
	return apps
}

func sorted[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), strings.Compare)
}
