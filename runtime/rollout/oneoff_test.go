package rollout

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestOneOffSpecGolden(t *testing.T) {
	s := around()
	s.name, s.labels = "lab_hello_abc_oneoff", map[string]string{engine.ClusterLabel: "lab", engine.AppLabel: "hello", engine.OneOffLabel: "true"}
	want := wish(func(p *lain.ProcSpec) { p.Env, p.User, p.MemoryBytes = []string{"A={{.Task.Slot}}"}, "1000", 128<<20 })
	got, err := json.MarshalIndent(oneOffSpec(want, s, "node1", noon), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "spec-oneoff.json"), string(got)+"\n")
}
