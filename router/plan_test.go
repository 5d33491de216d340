package router

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

func wants(routes map[string][]lain.Route) (s sight) {
	for _, app := range sorted(routes) {
		s.routes = append(s.routes, state.Item[lain.AppRoutes]{Key: app, Value: lain.AppRoutes{App: lain.AppName(app), Routes: routes[app]}})
	}
	return s
}

func TestPlan(t *testing.T) {
	r := func(host string) []lain.Route { return []lain.Route{web(host, "/", "web")} }
	bad := r("NOT A HOST")
	for name, c := range map[string]struct {
		want   routeTable
		good   routeTable
		bad    map[string]grudge
		serves routeTable
		fresh  []string
		reject []string
	}{
		"nothing":                             {serves: routeTable{}},
		"new":                                 {want: routeTable{"a": r("a.t")}, serves: routeTable{"a": r("a.t")}, fresh: []string{"a"}},
		"as before":                           {want: routeTable{"a": r("a.t")}, good: routeTable{"a": r("a.t")}, serves: routeTable{"a": r("a.t")}},
		"removed":                             {good: routeTable{"a": r("a.t")}, serves: routeTable{}},
		"invalid, never good":                 {want: routeTable{"a": bad}, serves: routeTable{}, reject: []string{"a"}},
		"invalid, the last good ones":         {want: routeTable{"a": bad}, good: routeTable{"a": r("a.t")}, serves: routeTable{"a": r("a.t")}, reject: []string{"a"}},
		"good ones from a damaged file":       {want: routeTable{"a": bad}, good: routeTable{"a": bad}, serves: routeTable{"a": nil}, reject: []string{"a"}},
		"two want a host, the lower one gets": {want: routeTable{"a": r("x.t"), "b": r("x.t")}, serves: routeTable{"a": r("x.t")}, fresh: []string{"a"}, reject: []string{"b"}},
		"a wanted route beats a left one":     {want: routeTable{"a": bad, "b": r("x.t")}, good: routeTable{"a": r("x.t")}, serves: routeTable{"a": {}, "b": r("x.t")}, fresh: []string{"b"}, reject: []string{"a"}},
		"a refused one stays refused":         {want: routeTable{"a": r("a.t")}, bad: map[string]grudge{"a": {r("a.t"), "no"}}, serves: routeTable{}, reject: []string{"a"}},
		"another one is tried":                {want: routeTable{"a": r("b.t")}, bad: map[string]grudge{"a": {r("a.t"), "no"}}, serves: routeTable{"a": r("b.t")}, fresh: []string{"a"}},
		"an app that cannot be":               {want: routeTable{"A;": r("a.t")}, serves: routeTable{}, reject: []string{"A;"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(wants(c.want), c.good, c.bad)
			serves := routeTable{}
			for _, a := range p.apps {
				serves[string(a.Name)] = a.Routes
			}
			if diff := cmp.Diff(c.serves, serves); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.fresh, p.fresh); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.reject, sorted(p.refused)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlan_EndpointsOfRoutedProcsOnly(t *testing.T) {
	s := wants(routeTable{"a": {web("a.t", "/", "web"), web("a.t", "/b/", "none")}})
	for key, addresses := range map[string][]string{"a/web": {"[::ffff:10.0.0.1]:80", "host:80", "10.0.0.2:0"}, "a/worker": {"10.0.0.3:1"}, "b/web": {"10.0.0.4:1"}} {
		s.endpoints = append(s.endpoints, state.Item[lain.Endpoints]{Key: key, Value: lain.Endpoints{Addresses: addresses}})
	}
	want := map[lain.ProcName][]string{"web": {"10.0.0.1:80"}, "none": nil}
	if diff := cmp.Diff(want, plan(s, nil, nil).apps[0].Endpoints); diff != "" {
		t.Error(diff)
	}
}
