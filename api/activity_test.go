package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
)

func (r *rig) activity(words string) []entry {
	r.t.Helper()
	code, out, errs := r.do(append(strings.Fields("activity --json"), strings.Fields(words)...)...)
	if code != 0 {
		r.t.Fatalf("activity %s: exit %d\n%s", words, code, errs)
	}
	var all []entry
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		r.t.Fatal(err)
	}
	return all
}

// lines are verb, what and outcome of each entry.
func lines(all []entry) (list []string) {
	for _, e := range all {
		list = append(list, strings.Join(strings.Fields(e.Verb+" "+e.What+" "+e.Outcome), " "))
	}
	return list
}

func TestActivityIsWhatChangesSomething(t *testing.T) {
	r := newRig(t)
	for _, words := range []string{"apps", "ps hello", "scale hello", "scale hello web=3 --dry-run", "logs hello", "keys list"} {
		r.do(strings.Fields(words)...)
	}
	runs := []lain.Run{{Number: 1, State: lain.RunDone, By: "bob", Commit: "1234567890"}, {Number: 2, State: lain.RunFailed, By: "bob"},
		{Number: 3, State: lain.RunDone, By: "bob", Change: &lain.Change{Why: lain.WhyScale}}}
	for i, run := range runs {
		run.App, run.Created = "hello", time.Now().Add(time.Duration(i-10)*time.Minute)
		put(t, r.api.runs, lain.NumberKey("hello", run.Number), run)
	}
	put(t, r.api.apps, "hello", lain.App{Name: "hello", Serving: 1, LastRelease: 1, LastRun: 3})
	r.do("scale", "hello", "web=3")
	r.do("ban", "hello", "v1", "-m", "leaks")
	r.do("rollback", "hello", "v9")
	r.do("config", "set", "hello", "KEY=very-secret")
	r.far.denied = access.DeleteApp
	r.do("destroy", "hello", "--confirm", "hello")
	r.do("apps", "create", "other")
	want := []string{"destroy denied", "config set KEY invalid", "rollback v9 not_found", "ban v1 done", "scale web=3 done", "push r-2, failed", "push r-1, 1234567 done"}
	if got := lines(r.activity("hello")); !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
	if got := lines(r.activity("-n 2")); !slices.Equal(got, []string{"apps create done", "destroy denied"}) {
		t.Errorf("-n 2: %q", got)
	}
	if got := lines(r.activity("hello --since 570s")); !slices.Equal(got, want[:6]) {
		t.Errorf("--since 570s: %q", got)
	}
}

// A verb is in the trail before it does anything.
func TestAVerbThatIsUnderWayHasBegun(t *testing.T) {
	r := newRig(t)
	r.far.create = func() {
		if got := lines(r.activity("")); !slices.Equal(got[:1], []string{"apps create begun"}) {
			t.Errorf("%q", got)
		}
	}
	r.do("apps", "create", "other")
}

func TestTheTrailIsCut(t *testing.T) {
	r := newRig(t)
	for _, v := range []string{"v1", "v2", "v3"} {
		r.do("unban", "hello", v)
	}
	put(t, r.api.trail, "00000000000000000000000000", entry{At: time.Now().Add(-keepTrailFor - time.Hour), Verb: "old"})
	for _, c := range []struct{ most, left int }{{10, 3}, {2, 2}} {
		if err := r.api.trim(t.Context(), c.most); err != nil {
			t.Fatal(err)
		}
		if items, _, err := r.api.trail.List(t.Context(), ""); err != nil || len(items) != c.left || items[c.left-1].Value.What != "v3" {
			t.Errorf("at most %d: %+v, %v", c.most, items, err)
		}
	}
}

func TestSince(t *testing.T) {
	r := newRig(t)
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	r.api.Now = func() time.Time { return now }
	for text, want := range map[string]time.Time{"": {}, "90m": now.Add(-90 * time.Minute), "3d": now.AddDate(0, 0, -3),
		"2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "2026-01-31T10:00:00+02:00": time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)} {
		if code, _, errs := r.do("logs", "hello", "--since", text); code != 0 || !r.far.query.Since.Equal(want) {
			t.Errorf("%q: %v, want %v; %s", text, r.far.query.Since, want, errs)
		}
	}
	for _, text := range []string{"yesterday", "-3d", "-1h", "10", "d"} {
		if code, _, errs := r.do("logs", "hello", "--since", text); code != 64 || !strings.Contains(errs, "use 10m") {
			t.Errorf("%q: exit %d %s", text, code, errs)
		}
	}
}
