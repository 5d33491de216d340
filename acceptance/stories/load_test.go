//go:build acceptance

package stories

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// twoInstances are the lines that an application adds to have one instance too many to fail.
var twoInstances = []string{"  num_instances: 2"}

// underLoad is an application of two instances that serves "one", and the load it is under.
func underLoad(t *testing.T, tw *town.Town, prefix string) (*town.App, *load.Load) {
	t.Helper()
	app := tw.NewApp(t, prefix)
	app.Manifest("", twoInstances...)
	app.Commit("two instances")
	app.MustPush()
	l := app.Load(load.Options{})
	answered(t, l, 200)
	return app, l
}

// answered waits until the load has got so many more answers.
func answered(t *testing.T, l *load.Load, more int) {
	t.Helper()
	goal := l.Now().OK + more
	if err := town.Until(t.Context(), 3*time.Minute, func() error {
		if n := l.Now().OK; n < goal {
			return fmt.Errorf("%d requests were answered, want %d", n, goal)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestPushUnderLoad_LosesNoRequest(t *testing.T) {
	t.Parallel()
	app, l := underLoad(t, shared(t), "busy")
	commit := app.Change("two")
	app.MustPush()
	answered(t, l, 400)
	r := app.NoneLost(l)
	if r.Versions["one"] == 0 || r.Versions["two"] == 0 || r.Sockets.OK == 0 {
		t.Errorf("the load did not see both versions and a websocket:\n%s", r)
	}
	app.Truth(commit, "two")
}

func TestFailingPushUnderLoad_LosesNoRequest(t *testing.T) {
	t.Parallel()
	app, l := underLoad(t, shared(t), "brave")
	commit := app.Head()
	app.Manifest("-unhealthy", append([]string{"  health: {deadline: 10}"}, twoInstances...)...)
	app.Change("bad")
	app.Push().Refused(t, "not healthy")
	answered(t, l, 400)
	if r := app.NoneLost(l); r.Versions["bad"] > 0 {
		t.Errorf("the unhealthy release was sent requests:\n%s", r)
	}
	app.Truth(commit, "one")
}

func TestPushesOfAnotherApp_LoseNoRequest(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, l := underLoad(t, tw, "calm")
	other := tw.NewApp(t, "noisy")
	other.MustPush()
	other.Change("two")
	other.MustPush()
	other.Manifest("-crash")
	other.Change("three")
	if r := other.Push(); r.Code != 1 || !strings.Contains(r.Stderr, "[remote rejected]") {
		t.Errorf("the push of what crashes ended with %d:\n%s", r.Code, r.All())
	}
	answered(t, l, 400)
	r := app.NoneLost(l)
	if r.Sockets.Closed > 0 {
		t.Errorf("pushes of another app ended this one's websocket:\n%s", r)
	}
	app.Truth(app.Head(), "one")
}
