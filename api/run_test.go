package api

import (
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

// deployed is an application with two procs, of which none is web.
func deployed(r *rig) {
	put(r.t, r.api.apps, "other", lain.App{Name: "other", Serving: 4})
	put(r.t, r.api.releases, lain.NumberKey("other", 4), lain.Release{App: "other", Number: 4, Commit: "abc", Procs: []lain.ProcSpec{
		{Name: "worker", Type: lain.Worker, MemoryBytes: 64 << 20, Env: []string{"A=1"}}, {Name: "migrate", Type: lain.Oneshot}}})
	put(r.t, r.api.apps, "empty", lain.App{Name: "empty"})
}

func TestRun(t *testing.T) {
	r := newRig(t)
	deployed(r)
	r.far.exit = 3
	if code, out, errs := r.do("run", "hello", "--", "ls", "-l", "--json"); code != 3 || out+errs != "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if len(r.far.like) != 1 || len(r.far.entered) != 1 || r.far.ended != 1 {
		t.Fatalf("made like %+v, entered %+v, %d ended", r.far.like, r.far.entered, r.far.ended)
	}
	if l := r.far.like[0]; l.App != "hello" || l.Release != 1 || l.Spec.Name != "web" || l.Spec.Port != 80 {
		t.Errorf("like %+v", l)
	}
	if e := r.far.entered[0]; e.Task != "one-off" || !slices.Equal(e.Argv, []string{"ls", "-l", "--json"}) {
		t.Errorf("entered %+v", e)
	}
	r.far.exit = 0
	for words, want := range map[string]lain.ProcSpec{
		"run other":                           {Name: "worker", MemoryBytes: 64 << 20},
		"run other -p migrate -- ./migrate":   {Name: "migrate"},
		"run other --memory 1g -- ./big task": {Name: "worker", MemoryBytes: 1 << 30},
	} {
		r.far.like = nil
		code, _, errs := r.do(strings.Fields(words)...)
		if code != 0 || len(r.far.like) != 1 || r.far.like[0].Spec.Name != want.Name || r.far.like[0].Spec.MemoryBytes != want.MemoryBytes || r.far.like[0].Commit != "abc" {
			t.Errorf("%s: exit %d: %s %+v", words, code, errs, r.far.like)
		}
	}
}

func TestRun_Refusals(t *testing.T) {
	r := newRig(t)
	deployed(r)
	for words, says := range map[string]string{
		"run nobody":               "there is no application nobody",
		"run empty -- true":        "empty has no release yet",
		"run other -p web -- true": "v4 of other has no proc web",
		"run other -p W":           "not a proc name",
		"run other --memory lots":  "no amount of memory",
		"run other --json -- true": "leave --json out",
		"run":                      "run takes APP",
	} {
		if code, _, errs := r.do(strings.Fields(words)...); code == 0 || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d: %s", words, code, errs)
		}
	}
	if len(r.far.like)+len(r.far.entered) != 0 {
		t.Errorf("containers were made: %+v", r.far.like)
	}
}

func TestRun_TheTrail(t *testing.T) {
	r := newRig(t)
	deployed(r)
	r.do("run", "other", "--", "psql", "-W", "hunter2")
	items, _, err := r.api.trail.List(t.Context(), "")
	if err != nil || len(items) != 1 {
		t.Fatalf("%d lines, %v", len(items), err)
	}
	if e := items[0].Value; e.Verb != "run" || e.What != "psql" || e.Outcome != done {
		t.Errorf("%+v", e)
	}
}
