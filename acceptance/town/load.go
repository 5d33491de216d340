package town

import (
	"context"

	"lain.internal/lain/acceptance/load"
)

// Load puts the application under a steady load through the router, until the test ends or it is stopped.
// Where o asks for nothing else it is 200 requests a second, half of them over connections of their own,
// four a second a POST of 1 MB, and one websocket.
func (a *App) Load(o load.Options) *load.Load {
	a.t.Helper()
	o.Addr, o.Host = a.town.IP()+":80", a.Host()
	if o.Rate == 0 {
		o.Rate, o.PostEvery, o.Sockets = 200, 50, 1
	}
	l, err := load.Start(context.WithoutCancel(a.t.Context()), o)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { l.Stop() })
	return l
}

// NoneLost stops the load and fails the test if a request was lost, or a websocket ended otherwise than by a
// clean goodbye. It returns the count.
func (a *App) NoneLost(l *load.Load) load.Result {
	a.t.Helper()
	r := l.Stop()
	if r.AllLost() > 0 || r.OK == 0 {
		a.t.Errorf("%s lost requests:\n%s", a.Name, r)
	} else {
		a.t.Logf("%s lost nothing:\n%s", a.Name, r)
	}
	return r
}
