//go:build acceptance

package stories

import (
	"strings"
	"testing"
)

func TestFirstPushMakesTheApp(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "first")
	r := app.MustPush()
	for _, want := range []string{"-----> Building", "echo building", "v1 serves", "http://" + app.Host() + "/"} {
		if want != "echo building" && !strings.Contains(r.Stderr, want) {
			t.Errorf("the push does not say %q:\n%s", want, r.Stderr)
		}
	}
	app.Truth(app.Head(), "one")
	clone := t.TempDir()
	app.Git("clone", "-q", app.URL(), clone)
}

func TestSecondPushReplacesTheFirst(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "second")
	app.MustPush()
	commit := app.Change("two")
	app.MustPush()
	app.Truth(commit, "two")
}

func TestSameTreeAgainIsNotBuilt(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "sametree")
	app.MustPush()
	commit := app.Commit("only a new message")
	r := app.MustPush()
	if !strings.Contains(r.Stderr, "nothing to build") || strings.Contains(r.Stderr, "-----> Building") {
		t.Errorf("the push built again:\n%s", r.Stderr)
	}
	app.Truth(commit, "one")
}
