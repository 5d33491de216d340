package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

// Both verbs tell of a crash loop until it is over, and which verb shows why.
func TestACrashLoopIsTold(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	seen := lain.ProcSeen{App: "hello", Proc: "web", Release: 1, State: lain.SeenServing, Instances: []lain.InstanceSeen{{Number: 1, State: "ready", Release: 1}}}
	loop := lain.Crashing{Since: now.Add(-10 * time.Minute), Last: now, Times: 7, Reason: "ended with exit code 1", Delay: 30 * time.Second}
	again := loop
	again.Runs = now.Add(-12500 * time.Millisecond)
	for name, c := range map[string]struct {
		crashing *lain.Crashing
		line     string
	}{
		"it crashes":    {&loop, "web is crashing: ended with exit code 1, 7 times in 10m; next try within 30s. See why: logs hello -p web\n"},
		"it runs again": {&again, "web is crashing: ended with exit code 1, 7 times in 10m; an instance runs again, for 12s. See why: logs hello -p web\n"},
		"it does not":   {nil, ""},
	} {
		seen.Crashing = c.crashing
		put(t, r.api.seen, "hello/web", seen)
		for _, verb := range []string{"ps", "info"} {
			_, out, _ := r.do(verb, "hello")
			if has := strings.Contains(out, "crashing"); has != (c.line != "") || !strings.HasSuffix(out, c.line) {
				t.Errorf("%s: %s answers\n%s", name, verb, out)
			}
		}
		if got := crashingIn(t, r); (got == nil) != (c.crashing == nil) || got != nil && (got.Times != 7 || got.Delay != 30*time.Second) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// crashingIn is what ps and info say of web in JSON, which must be the same.
func crashingIn(t *testing.T, r *rig) *lain.Crashing {
	t.Helper()
	var procs []lain.ProcSeen
	var app appInfo
	for verb, into := range map[string]any{"ps": &procs, "info": &app} {
		_, out, errs := r.do(verb, "hello", "--json")
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%s: %v %s", verb, err, errs)
		}
	}
	a, b := procs[0].Crashing, app.Crashing["web"]
	if (a == nil) != (b == nil) || a != nil && a.Times != b.Times {
		t.Errorf("ps says %+v, info %+v", a, b)
	}
	return a
}
