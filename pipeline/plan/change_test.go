package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

func proc(name lain.ProcName, change ...func(*lain.ProcSpec)) lain.ProcSpec {
	p := lain.ProcSpec{Name: name, Type: lain.Worker, Instances: 1, MemoryBytes: 64 << 20}
	for _, f := range change {
		f(&p)
	}
	return p
}

func TestChangedTakesTheOldReleaseInTheSizesAndWithTheSecretsOfNow(t *testing.T) {
	three := 3
	key := func(v int) []lain.SecretMount { return []lain.SecretMount{{Secret: "l", Path: "/key", Version: v}} }
	base := Sized(lain.Release{App: "hello", Number: 1, Commit: "a", Status: lain.ReleaseReplaced, Ban: nil,
		Procs: []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Secrets = key(1) }), proc("old")}}, nil)
	serving := Sized(lain.Release{App: "hello", Number: 5, Commit: "b", Status: lain.ReleaseServing,
		Procs: []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Secrets = key(2) }), proc("new")}},
		map[lain.ProcName]lain.Size{"web": {Instances: &three}, "new": {Instances: &three}})
	next, err := Changed(lain.Change{Why: lain.WhyRollback, From: 1}, base, serving)
	if err != nil {
		t.Fatal(err)
	}
	web, _ := next.Proc("web")
	if next.Commit != "a" || next.From != 1 || next.Status != lain.ReleasePending || web.Instances != 3 || *web.Declared.Instances != 1 || web.Secrets[0].Version != 2 {
		t.Errorf("%+v", next)
	}
	if _, left := next.Sizes["new"]; left {
		t.Errorf("the size of a proc that is not there is kept: %v", next.Sizes)
	}
	old, err := Changed(lain.Change{Why: lain.WhyRollback, From: 1, OldSecrets: true}, base, serving)
	if web, _ := old.Proc("web"); err != nil || web.Secrets[0].Version != 1 {
		t.Errorf("with its own secrets: %+v, %v", web, err)
	}
	if before, _ := base.Proc("web"); before.Instances != 1 || before.Secrets[0].Version != 1 {
		t.Errorf("the old release was changed: %+v", before)
	}
}

func TestSizesAddUp(t *testing.T) {
	three, one := 3, 1
	r := lain.Release{App: "hello", Procs: []lain.ProcSpec{proc("web")}}
	for _, step := range []struct {
		size lain.Size
		want lain.Size
	}{
		{lain.Size{Instances: &three}, lain.Size{Instances: &three}},
		{lain.Size{MemoryBytes: 128 << 20}, lain.Size{Instances: &three, MemoryBytes: 128 << 20}},
		{lain.Size{CPULevel: &one}, lain.Size{Instances: &three, MemoryBytes: 128 << 20, CPULevel: &one}},
		{lain.Size{}, lain.Size{}},
	} {
		next, err := Changed(lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"web": step.size}}, r, r)
		if err != nil {
			t.Fatal(err)
		}
		if got := next.Sizes["web"]; !reflect.DeepEqual(got, step.want) {
			t.Errorf("%+v, want %+v", got, step.want)
		}
		r = next
	}
	if web, _ := r.Proc("web"); web.Instances != 1 || web.MemoryBytes != 64<<20 || web.CPULevel != 0 || web.Declared != nil {
		t.Errorf("back to lain.yaml: %+v", web)
	}
}

func TestFits(t *testing.T) {
	procs := []lain.ProcSpec{proc("web"), proc("big", func(p *lain.ProcSpec) { p.MemoryBytes = 3 << 30 })}
	if err := Fits("hello", procs, 2<<30); err == nil || !strings.Contains(err.Error(), "memory of big: 3072 MiB, but the largest node has 2048 MiB") {
		t.Errorf("%v", err)
	}
	for _, largest := range []int64{0, 3 << 30} {
		if err := Fits("hello", procs, largest); err != nil {
			t.Errorf("largest node of %d: %v", largest, err)
		}
	}
}

func TestSettleKeepsContainersOfWhichNothingChanged(t *testing.T) {
	serving := lain.Release{Number: 7, Commit: "a", Procs: []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Since = 4 }), proc("worker")}}
	for name, c := range map[string]struct {
		commit lain.Commit
		procs  []lain.ProcSpec
		renew  *lain.Change
		want   []int
	}{
		"the same":            {"a", []lain.ProcSpec{proc("web"), proc("worker")}, nil, []int{4, 7}},
		"another number":      {"a", []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Instances = 9 }), proc("worker")}, nil, []int{4, 7}},
		"an empty list":       {"a", []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Env = []string{} }), proc("worker")}, nil, []int{4, 7}},
		"another commit":      {"b", []lain.ProcSpec{proc("web"), proc("worker")}, nil, []int{8, 8}},
		"another command":     {"a", []lain.ProcSpec{proc("web", func(p *lain.ProcSpec) { p.Cmd = []string{"x"} }), proc("worker")}, nil, []int{8, 7}},
		"another secret":      {"a", []lain.ProcSpec{proc("web"), proc("worker", func(p *lain.ProcSpec) { p.Config = &lain.ConfigMount{Version: 1} })}, nil, []int{4, 8}},
		"a new proc":          {"a", []lain.ProcSpec{proc("web"), proc("other")}, nil, []int{4, 8}},
		"a restart of one":    {"a", []lain.ProcSpec{proc("web"), proc("worker")}, &lain.Change{Why: lain.WhyRestart, Procs: []lain.ProcName{"web"}}, []int{8, 7}},
		"a restart of all":    {"a", []lain.ProcSpec{proc("web"), proc("worker")}, &lain.Change{Why: lain.WhyRestart}, []int{8, 8}},
		"a redeploy":          {"a", []lain.ProcSpec{proc("web"), proc("worker")}, &lain.Change{Why: lain.WhyRedeploy}, []int{8, 8}},
		"a scale renews none": {"a", []lain.ProcSpec{proc("web"), proc("worker")}, &lain.Change{Why: lain.WhyScale}, []int{4, 7}},
	} {
		r := lain.Release{Number: 8, Commit: c.commit, Procs: slices.Clone(c.procs)}
		Settle(&r, serving, Renews(c.renew))
		var got []int
		for _, p := range r.Procs {
			got = append(got, p.Since)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: containers are of %v, want %v", name, got, c.want)
		}
	}
}
