//go:build acceptance

package stories

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// instance is one of an application's, as ps tells of it.
type instance struct {
	Number  int    `json:"number"`
	Task    string `json:"task"`
	State   string `json:"state"`
	Address string `json:"address"`
}

// sickCount is what an instance of the test application counts while it is sick.
type sickCount struct {
	Failed   int   `json:"failed"`
	Requests []int `json:"requests"`
	LastMS   int64 `json:"last_ms"`
	Since    int   `json:"since"`
}

func instancesOf(t *testing.T, tw *town.Town, app *town.App) []instance {
	t.Helper()
	procs := town.JSON[[]struct {
		Instances []instance `json:"instances"`
	}](t, tw, "ps "+app.Name)
	if len(procs) != 1 {
		t.Fatalf("%d procs", len(procs))
	}
	return procs[0].Instances
}

// tell asks an instance past the router, as only the node itself can.
func (i instance) tell(t *testing.T, tw *town.Town, path string) string {
	t.Helper()
	out, err := tw.Exec(t.Context(), "curl", "-sS", "--max-time", "20", "http://"+i.Address+path)
	if err != nil {
		t.Fatalf("%s of instance %d: %v\n%s", path, i.Number, err, out)
	}
	return out
}

func (i instance) sickness(t *testing.T, tw *town.Town) (c sickCount) {
	t.Helper()
	must(t, json.Unmarshal([]byte(i.tell(t, tw, "/sickness")), &c))
	return c
}

// counts waits until what an instance counts is as wanted.
func (i instance) counts(t *testing.T, tw *town.Town, what string, is func(sickCount) bool) (c sickCount) {
	t.Helper()
	must(t, town.Until(t.Context(), 2*time.Minute, func() error {
		if c = i.sickness(t, tw); !is(c) {
			return fmt.Errorf("instance %d has not %s: %+v", i.Number, what, c)
		}
		return nil
	}))
	return c
}

// threeUnderLoad is an application of three instances and the load it is under, without websockets.
func threeUnderLoad(t *testing.T, tw *town.Town, prefix string, more ...string) (*town.App, *load.Load, []instance) {
	t.Helper()
	app := tw.NewApp(t, prefix)
	app.Manifest("", append([]string{"  num_instances: 3"}, more...)...)
	app.Commit("three instances")
	app.MustPush()
	l := app.Load(load.Options{Rate: 200, PostEvery: 50})
	answered(t, l, 200)
	all := instancesOf(t, tw, app)
	if len(all) != 3 || slices.ContainsFunc(all, func(i instance) bool { return i.State != "running" || i.Address == "" }) {
		t.Fatalf("instances %+v", all)
	}
	return app, l, all
}

// An instance that answers 500 everywhere is passed by from its first failed probe on, long before the engine gives
// it up, and gets requests again once it is well. Every request that was lost is one of those it had taken before.
func TestAnUnwellInstance_LeavesTheRouterAtOnce(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, l, all := threeUnderLoad(t, tw, "unwell")
	sick := all[0]
	sick.tell(t, tw, "/sick?n=6") // two probes: the engine would stop it for three
	sick.counts(t, tw, "failed once", func(c sickCount) bool { return c.Failed > 0 })
	must(t, town.Until(t.Context(), time.Minute, func() error {
		if now := instancesOf(t, tw, app); states(now) != "running running unwell" {
			return fmt.Errorf("ps says %s", states(now))
		}
		return nil
	}))
	count := sick.counts(t, tw, "had 100 requests again", func(c sickCount) bool { return c.Since >= 100 })
	answered(t, l, 200)
	r := l.Stop()
	t.Logf("the last request came %d ms after the first failed question; %+v\n%s", count.LastMS, count, r)

	lost := 0
	for _, n := range count.Requests {
		lost += n
	}
	if count.Failed != 6 || lost == 0 || r.Lost != lost || r.Reasons["GET: status 500"]+r.Reasons["POST: status 500"] != lost {
		t.Errorf("%d requests were lost, and %d came to the sick instance:\n%s", r.Lost, lost, r)
	}
	if late := count.Requests[5:]; slices.Max(late) > 0 { // it is asked once a second, and a busy machine needs some for nginx
		t.Errorf("requests came to the sick instance when five questions had failed: %v", count.Requests)
	}
	if now := instancesOf(t, tw, app); !slices.Equal(now, all) {
		t.Errorf("the instances are %+v, and were %+v", now, all)
	}
}

func states(all []instance) string {
	var s []string
	for _, i := range all {
		s = append(s, i.State)
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

// As long as no instance is well all get requests; then only the one that is. Here they are unwell in their health
// check only, so nothing may be lost by all the changes.
func TestAllInstancesUnwell_AllStay(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, l, all := threeUnderLoad(t, tw, "ailing", "  container_healthcheck: {options: {interval: 10, retries: 100}}")
	become := func(want string) {
		t.Helper()
		must(t, town.Until(t.Context(), 2*time.Minute, func() error {
			if now := instancesOf(t, tw, app); states(now) != want {
				return fmt.Errorf("ps says %s, want %s", states(now), want)
			}
			return nil
		}))
	}
	for _, i := range all {
		i.tell(t, tw, "/sick?n=1000&only=health")
	}
	become("unwell unwell unwell")
	for _, i := range all {
		before := i.sickness(t, tw)
		i.counts(t, tw, "had requests while all are unwell", func(c sickCount) bool { return total(c) > total(before)+20 })
	}
	become("unwell unwell unwell")
	all[1].tell(t, tw, "/sick?n=0")
	become("running unwell unwell")
	for _, i := range []int{0, 2} {
		failed := all[i].sickness(t, tw).Failed
		now := all[i].counts(t, tw, "failed six times more", func(c sickCount) bool { return c.Failed >= failed+6 })
		if late := now.Requests[failed+3:]; slices.Max(late) > 0 {
			t.Errorf("instance %d had requests beside one that is well: %v", i+1, late[:6])
		}
		all[i].tell(t, tw, "/sick?n=0")
	}
	become("running running running")
	for _, i := range all {
		i.counts(t, tw, "had requests again", func(c sickCount) bool { return c.Since > 20 })
	}
	app.NoneLost(l)
}

func total(c sickCount) (n int) {
	for _, some := range c.Requests {
		n += some
	}
	return n
}
