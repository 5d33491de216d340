//go:build acceptance

package stories

import (
	"fmt"
	"strings"
	"testing"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// proc is a proc as `ps --json` tells it.
type proc struct {
	Proc      string `json:"proc"`
	Instances []struct {
		Task  string `json:"task"`
		State string `json:"state"`
	} `json:"instances"`
}

// tasks are the running instances of each proc, by the engine's names.
func tasks(t *testing.T, tw *town.Town, app *town.App) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, p := range town.JSON[[]proc](t, tw, "ps "+app.Name) {
		var ids []string
		for _, i := range p.Instances {
			if i.State == "running" {
				ids = append(ids, i.Task)
			}
		}
		found[p.Proc] = strings.Join(ids, " ")
	}
	return found
}

// webAndWorker is an application of a web proc and a worker that serves "one".
func webAndWorker(t *testing.T, tw *town.Town, prefix string, lines ...string) *town.App {
	t.Helper()
	app := tw.NewApp(t, prefix)
	app.Manifest("", append(lines, "worker:", "  cmd: /bin/testapp -worker -version-file /lain/app/VERSION")...)
	app.Commit("with a worker")
	app.MustPush()
	return app
}

func TestRollback_MovesTheBranchBackAndTheNextPushWorks(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "undo")
	app.MustPush()
	good := app.Head()
	bad := app.Change("bad")
	app.MustPush()
	app.Truth(bad, "bad")
	out := tw.Verb(t, "rollback "+app.Name)
	if !strings.Contains(out, "rollback of "+app.Name+" to v1") || !strings.Contains(out, "v3 serves "+good[:7]) || !strings.Contains(out, "commit: "+bad[:7]+" -> "+good[:7]) {
		t.Errorf("it said:\n%s", out)
	}
	app.Truth(good, "one")
	if out := tw.Verb(t, "diff "+app.Name+" v2 v3"); !strings.Contains(out, "- "+bad[:7]) {
		t.Errorf("diff says:\n%s", out)
	}
	fixed := app.Change("fixed")
	app.MustPush()
	app.Truth(fixed, "fixed")
}

func TestRollback_UnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, l := underLoad(t, tw, "swift")
	app.Change("two")
	app.MustPush()
	tw.Verb(t, "rollback "+app.Name+" v1")
	answered(t, l, 400)
	app.NoneLost(l)
	app.Serves("one")
}

func TestBannedAndUnknownReleases_AreRefusedAndNothingMoves(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "banned")
	app.MustPush()
	two := app.Change("two")
	app.MustPush()
	tw.Verb(t, "ban "+app.Name+" v1 -m 'leaks sessions'")
	for words, want := range map[string]string{"v1": "was banned by admin: leaks sessions", "v9": "has no release v9", "one": "is not a release"} {
		if r := tw.SSH(t, "rollback "+app.Name+" "+words); r.Code == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("rollback to %s: exit %d: %s", words, r.Code, r.All())
		}
	}
	app.Truth(two, "two")
	tw.Verb(t, "unban "+app.Name+" v1")
	tw.Verb(t, "rollback "+app.Name+" v1")
	app.Serves("one")
}

func TestRestart_ReplacesTheContainersThatWereNamed(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := webAndWorker(t, tw, "again")
	before := tasks(t, tw, app)
	tw.Verb(t, "restart "+app.Name+" worker")
	after := tasks(t, tw, app)
	if after["web"] != before["web"] || after["worker"] == before["worker"] {
		t.Errorf("before %v, after %v", before, after)
	}
	tw.Verb(t, "redeploy "+app.Name)
	if last := tasks(t, tw, app); last["web"] == after["web"] || last["worker"] == after["worker"] {
		t.Errorf("redeploy kept containers: %v, %v", after, last)
	}
	app.Serves("one")
}

func TestScale_UnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := webAndWorker(t, tw, "grow")
	l := app.Load(load.Options{})
	answered(t, l, 100)
	before := tasks(t, tw, app)
	for _, n := range []int{10, 1} {
		tw.Verb(t, fmt.Sprintf("scale %s web=%d", app.Name, n))
		if got := tasks(t, tw, app); len(strings.Fields(got["web"])) != n || got["worker"] != before["worker"] {
			t.Errorf("scaled to %d: %v, before %v", n, got, before)
		}
		answered(t, l, 200)
	}
	app.NoneLost(l)
}

func TestScale_LastsOverAPushUntilItGoesBack(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := webAndWorker(t, tw, "lasting")
	tw.Verb(t, "scale "+app.Name+" web=2 --memory 80m")
	app.Change("two")
	if r := app.MustPush(); !strings.Contains(r.Stderr, "web is scaled: 2 instances (lain.yaml: 1), memory 80 MiB") {
		t.Errorf("the push does not say so:\n%s", r.Stderr)
	}
	if out := tw.Verb(t, "info "+app.Name); !strings.Contains(out, "2 instances (lain.yaml: 1)") {
		t.Errorf("info does not say so:\n%s", out)
	}
	if got := limit(t, tw, app, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"); got != fmt.Sprint(80<<20) {
		t.Errorf("the limit is %s", got)
	}
	tw.Verb(t, "scale "+app.Name+" web=yaml")
	if got := tasks(t, tw, app); len(strings.Fields(got["web"])) != 1 {
		t.Errorf("back to lain.yaml: %v", got)
	}
	runs, err := app.Runs()
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"web=100000", "nosuch=1", "web --memory 1k", "web --memory 900g", "web --cpu 9"} {
		if r := tw.SSH(t, "scale "+app.Name+" "+words); r.Code == 0 {
			t.Errorf("scale %s was taken:\n%s", words, r.All())
		}
	}
	if after, err := app.Runs(); err != nil || len(after) != len(runs) {
		t.Errorf("refusals left runs: %d before, %d after (%v)", len(runs), len(after), err)
	}
}

// Three procs, of which the third fails: everything goes back, proc by proc, and no request is lost.
func TestThirdProcFails_EverythingGoesBack(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	procs := func(third string) []string {
		return []string{"  num_instances: 2", "worker:", "  cmd: /bin/testapp -worker", "web.late:", "  cmd: /bin/testapp " + third, "  port: 8080",
			"  mountpoint: [/late]", "  healthcheck: /healthz", "  health: {deadline: 8}"}
	}
	app := tw.NewApp(t, "three")
	app.Manifest("", procs("-version good")...)
	good := app.Commit("three procs")
	app.MustPush()
	before := tasks(t, tw, app)
	l := app.Load(load.Options{})
	answered(t, l, 100)
	app.Manifest("", append(procs("-unhealthy"), "worker.extra:", "  cmd: /bin/testapp -worker")...)
	app.Change("bad")
	app.Push().Refused(t, "late is not healthy after 8s", "Returning to v1")
	app.Truth(good, "one")
	answered(t, l, 400)
	app.NoneLost(l)
	if _, body, _ := tw.Get(app.Host(), "/late/"); !strings.HasPrefix(body, "good\n") {
		t.Errorf("/late answers %q", body)
	}
	after := tasks(t, tw, app)
	if after["extra"] != "" || after["late"] != before["late"] {
		t.Errorf("before %v, after %v", before, after)
	}
}

// An image that belongs to another application cannot be named by its digest.
func TestAnotherAppsImage_IsRefused(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	owner := tw.NewApp(t, "owner")
	owner.MustPush()
	image := town.JSON[struct {
		Release struct {
			Image struct {
				Repository string `json:"repository"`
				Digest     string `json:"digest"`
			} `json:"image"`
		} `json:"release"`
	}](t, tw, "info "+owner.Name).Release.Image
	thief := tw.NewApp(t, "thief")
	for _, host := range []string{"127.0.0.1:5000/", "localhost:5000/", ""} {
		thief.Manifest("", "worker.x:", "  image: '"+host+image.Repository+"@"+image.Digest+"'")
		thief.Commit("with another's image")
		if r := thief.Push(); r.Code != 1 || !strings.Contains(r.Stderr, "[remote rejected]") {
			t.Errorf("%s: exit %d\n%s", host, r.Code, r.All())
		}
	}
}
