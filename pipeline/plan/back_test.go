package plan

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

func TestBack(t *testing.T) {
	one, then, now := 1, time.Unix(1, 0), time.Unix(9, 0)
	served := lain.Release{App: "hello", Number: 7, Commit: "a", Tree: "t", Image: image("a"), Run: 9, By: "alice", Created: then,
		Why: lain.WhyScale, From: 5, Forced: true, Branch: "main", Status: lain.ReleaseServing, Ban: &lain.Ban{Reason: "leaks"},
		Sizes: map[lain.ProcName]lain.Size{"web": {Instances: &one}}, Routes: []lain.Route{{Host: "a.test", Path: "/", Proc: "web"}},
		Procs: []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Since, p.Config = 4, &lain.ConfigMount{Version: 2} }), proc("worker")}}
	failed := lain.Release{App: "hello", Number: 8, Run: 12, By: "bob", Commit: "b"}
	want := served
	want.Number, want.Run, want.By, want.Created, want.Why, want.From, want.Forced, want.Ban = 9, 12, "bob", now, lain.WhyReturn, 7, false, nil
	want.Procs = []lain.ProcSpec{want.Procs[0], proc("worker", func(p *lain.ProcSpec) { p.Since = 7 })}
	back := Back(served, failed, 9, now)
	if !reflect.DeepEqual(back, want) {
		t.Errorf("got\n%+v\nwant\n%+v", back, want)
	}
	if served.Procs[1].Since != 0 {
		t.Error("the release that served was changed")
	}
	failed.Number, failed.Run = 10, 13
	want.Number, want.Run = 11, 13
	if again := Back(back, failed, 11, now); !reflect.DeepEqual(again, want) {
		t.Errorf("of a return: got\n%+v\nwant\n%+v", again, want)
	}
}

func TestServing(t *testing.T) {
	for want, r := range map[string]lain.Release{
		"nothing serves yet":      {App: "hello"},
		"v7 still serves":         {Number: 7, Why: lain.WhyRollback, From: 3},
		"v7 still serves, as v11": {Number: 11, Why: lain.WhyReturn, From: 7},
	} {
		if got := Serving(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOwn(t *testing.T) {
	releases := []lain.Release{{Number: 7, Run: 5, Why: lain.WhyPush}, {Number: 8, Run: 6, Why: lain.WhyScale},
		{Number: 9, Run: 6, Why: lain.WhyReturn, From: 7}, {Number: 10, Run: 8, Why: lain.WhyPush}}
	for range 2 {
		for run, want := range map[int]int{5: 7, 6: 8, 8: 10, 7: 0} {
			got := 0
			if r := Own(lain.Run{Number: run}, releases); r != nil {
				got = r.Number
			}
			if got != want {
				t.Errorf("of r-%d: v%d, want v%d", run, got, want)
			}
		}
		slices.Reverse(releases) // their order says nothing
	}
}
