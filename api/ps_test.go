package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

func psRig(t *testing.T) *rig {
	r := newRig(t)
	now := time.Now()
	r.api.Now = func() time.Time { return now }
	put(t, state.Of[lain.ProcWant](r.api.Store, lain.ProcsPrefix), "hello/web", lain.ProcWant{App: "hello", Spec: lain.ProcSpec{Name: "web", MemoryBytes: 64 << 20}})
	put(t, r.api.seen, "hello/web", lain.ProcSeen{App: "hello", Proc: "web", Release: 3, State: lain.SeenServing, Instances: []lain.InstanceSeen{
		{Number: 1, Task: "t1", State: "running", Release: 3, Since: now.Add(-90 * time.Second)},
		{Number: 2, Task: "t2", State: "failed", Release: 3, Since: now.Add(-5 * time.Second), Failed: 12, Reason: "task: non-zero exit (137): " + strings.Repeat("very sick ", 15)},
	}})
	put(t, r.api.seen, "hello/a-worker", lain.ProcSeen{App: "hello", Proc: "a-worker", Release: 3, State: lain.SeenRolling, At: now, Reason: "waits for its image"})
	r.far.memory = map[string]engine.Memory{"t1": {Used: 12<<20 + 300<<10, Limit: 128 << 20}}
	return r
}

func TestPsTable(t *testing.T) {
	r := psRig(t)
	want := `INSTANCE  RELEASE  STATE    AGE  MEMORY              RESTARTS
a-worker  v3       rolling  0s   -                   -
  waits for its image
web.1     v3       running  1m   12.29MiB of 128MiB  0
web.2     v3       failed   5s   - of 64MiB          12
`
	_, out, _ := r.do("ps", "hello")
	if !strings.HasPrefix(out, want) {
		t.Errorf("\n%s, want\n%s", out, want)
	}
	for line := range strings.Lines(out) {
		if len(line) > widest+1 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	if n := strings.Count(out, "sick"); n != 15 {
		t.Errorf("%d of 15 words of the reason are left:\n%s", n, out)
	}
}

func TestPsFitsWithTheLongestNames(t *testing.T) {
	r := psRig(t)
	name := lain.ProcName(strings.Repeat("w", 39))
	put(t, r.api.seen, "hello/"+string(name), lain.ProcSeen{App: "hello", Proc: name, Instances: []lain.InstanceSeen{{Number: 500, Task: "t1", State: "preparing", Release: 1234, Failed: 50}}})
	r.far.memory["t1"] = engine.Memory{Used: 1023<<20 + 777<<10, Limit: 1000 << 30}
	_, out, _ := r.do("ps", "hello")
	for line := range strings.Lines(out) {
		if len(line) > widest+1 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
}

func TestPsJSON(t *testing.T) {
	r := psRig(t)
	_, out, _ := r.do("ps", "hello", "--json")
	var procs []map[string]any
	if err := json.Unmarshal([]byte(out), &procs); err != nil || len(procs) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	list := procs[1]["instances"].([]any)
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	if first["memory_bytes"] != float64(12<<20+300<<10) || first["memory_limit_bytes"] != float64(128<<20) || first["restarts"] != 0.0 || first["state"] != "running" {
		t.Errorf("%v", first)
	}
	if _, there := second["memory_bytes"]; there || second["memory_limit_bytes"] != float64(64<<20) || second["restarts"] != 12.0 {
		t.Errorf("%v", second)
	}
	if none, ok := procs[0]["instances"].([]any); !ok || len(none) != 0 {
		t.Errorf("%v", procs[0])
	}
}

func TestPsWithoutTheEngine(t *testing.T) {
	r := psRig(t)
	r.far.memory, r.far.away = nil, errors.New("away")
	if code, out, errs := r.do("ps", "hello"); code != 0 || !strings.Contains(out, "- of 64MiB") || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}
