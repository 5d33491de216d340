package rollout

import (
	"encoding/json"
	"path/filepath"
	"slices"
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

func TestInAnotherImage(t *testing.T) {
	want := wish(func(p *lain.ProcSpec) {
		p.Env, p.User, p.Workdir, p.Cmd = []string{"A=1"}, "1000", "/srv", []string{"serve"}
	})
	got := inAnotherImage(want)
	if got.Spec.User != "" || got.Spec.Workdir != "" || len(command(got.Spec, engine.ImageConfig{})) == 0 {
		t.Errorf("it is still about the former image: %+v", got.Spec)
	}
	if want.Spec.User == "" || !slices.Equal(got.Spec.Env, want.Spec.Env) || got.Spec.Port != want.Spec.Port {
		t.Errorf("%+v of %+v", got.Spec, want.Spec)
	}
}
