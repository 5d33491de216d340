package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
)

func TestStages(t *testing.T) {
	built := &lain.Build{BuiltBy: 7}
	for _, c := range []struct {
		name  string
		facts Facts
		runs  []string
	}{
		{"everything", Facts{HasPrepare: true, HasTest: true}, []string{Prepare, Build, Test, Release, Push, Rollout, Routes, Ref}},
		{"the least", Facts{}, []string{Build, Release, Push, Rollout, Routes, Ref}},
		{"prepared before", Facts{HasPrepare: true, PrepareReady: true}, []string{Build, Release, Push, Rollout, Routes, Ref}},
		{"built before", Facts{HasPrepare: true, HasTest: true, Built: built}, []string{Rollout, Routes, Ref}},
		{"build only", Facts{HasTest: true, BuildOnly: true}, []string{Build, Test, Release, Push}},
		{"with oneshot procs", Facts{HasOneshot: true, Built: built}, []string{Oneshot, Rollout, Routes, Ref}},
		{"without them, as asked", Facts{HasOneshot: true, SkipOneshot: true, Built: built}, []string{Rollout, Routes, Ref}},
		{"build only, built before", Facts{Built: built, BuildOnly: true}, nil},
	} {
		var runs []string
		for _, s := range Stages(c.facts) {
			if s.Skip == "" {
				runs = append(runs, s.Name)
			}
		}
		if !slices.Equal(runs, c.runs) {
			t.Errorf("%s: %v, want %v", c.name, runs, c.runs)
		}
	}
}

func TestTakeOver(t *testing.T) {
	pending, serving, replaced, failed := &lain.Release{Status: lain.ReleasePending}, &lain.Release{Status: lain.ReleaseServing},
		&lain.Release{Status: lain.ReleaseReplaced}, &lain.Release{Status: lain.ReleaseFailed}
	for _, c := range []struct {
		name    string
		run     lain.Run
		release *lain.Release
		want    Takeover
	}{
		{"before the rollout", lain.Run{}, nil, Interrupt},
		{"before the rollout, detached", lain.Run{Detached: true}, nil, Resume},
		{"in a oneshot", lain.Run{Stage: Oneshot}, pending, Abandon},
		{"in a oneshot, detached", lain.Run{Stage: Oneshot, Detached: true}, pending, Resume},
		{"just released", lain.Run{Stage: Push}, pending, Abandon},
		{"a oneshot failed", lain.Run{Stage: Oneshot}, failed, Abandon},
		{"in the rollout", lain.Run{Stage: Rollout}, pending, Return},
		{"in the rollout, detached", lain.Run{Stage: Rollout, Detached: true}, pending, Resume},
		{"it serves", lain.Run{}, serving, Finish},
		{"it serves, detached", lain.Run{Detached: true}, serving, Finish},
		{"it served until another did", lain.Run{}, replaced, Finish},
		{"in its routes", lain.Run{Stage: Routes}, pending, Return},
		{"it was taken back", lain.Run{Stage: Routes}, failed, Returned},
		{"it was taken back, detached", lain.Run{Stage: Rollout, Detached: true}, failed, Returned},
	} {
		if got := TakeOver(c.run, c.release); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAttemptsGrow(t *testing.T) {
	last := 0
	for run := 1; run < 5; run++ {
		for _, a := range []int{Attempt(run), ReturnAttempt(run)} {
			if a <= last {
				t.Errorf("attempt %d of r-%d is not above %d", a, run, last)
			}
			last = a
		}
	}
}

func TestVerdict(t *testing.T) {
	wants := Wants(lain.Release{App: "hello", Number: 2, Procs: []lain.ProcSpec{{Name: "web", Instances: 2}, {Name: "job", Instances: 1}}}, 4)
	seen := func(web, job lain.SeenState, attempt int) map[lain.ProcName]lain.ProcSeen {
		return map[lain.ProcName]lain.ProcSeen{
			"web": {Proc: "web", State: web, Attempt: attempt}, "job": {Proc: "job", State: job, Attempt: 4}}
	}
	for _, c := range []struct {
		name   string
		seen   map[lain.ProcName]lain.ProcSeen
		all    bool
		failed int
	}{
		{"nothing seen", nil, false, 0},
		{"all serve", seen(lain.SeenServing, lain.SeenServing, 4), true, 0},
		{"one rolls", seen(lain.SeenServing, lain.SeenRolling, 4), false, 0},
		{"one failed", seen(lain.SeenServing, lain.SeenFailed, 4), false, 1},
		{"an answer to an older wish does not count", seen(lain.SeenServing, lain.SeenServing, 3), false, 0},
		{"nor does an older failure", seen(lain.SeenFailed, lain.SeenServing, 3), false, 0},
	} {
		all, failed := Verdict(wants, c.seen)
		if all != c.all || len(failed) != c.failed {
			t.Errorf("%s: %v, %d failed", c.name, all, len(failed))
		}
	}
	if got := Missing(wants, nil); got != "web 0/2, job 0/1" {
		t.Errorf("missing: %s", got)
	}
}

func TestRemoved(t *testing.T) {
	oneshot := func(name lain.ProcName) lain.ProcSpec { return lain.ProcSpec{Name: name, Type: lain.Oneshot} }
	var wanted []lain.ProcWant
	for _, p := range []lain.ProcSpec{{Name: "web"}, {Name: "old"}, {Name: "retyped"}, oneshot("web"), oneshot("migrate")} {
		wanted = append(wanted, lain.ProcWant{App: "hello", Spec: p})
	}
	got := Removed(wanted, lain.Release{App: "hello", Procs: []lain.ProcSpec{{Name: "web"}, {Name: "new"}, oneshot("retyped"), oneshot("migrate")}})
	if !slices.Equal(got, []string{"hello/migrate.oneshot", "hello/old", "hello/retyped", "hello/web.oneshot"}) {
		t.Errorf("%v", got)
	}
}

func TestOneshotsAreWishedForByThemselves(t *testing.T) {
	r := lain.Release{App: "hello", Number: 4, Run: 6, Procs: []lain.ProcSpec{
		{Name: "z", Type: lain.Oneshot, Since: 2}, {Name: "web", Type: lain.Web}, {Name: "a", Type: lain.Oneshot}}}
	if wants := Wants(r, 12); len(wants) != 1 || wants[0].Spec.Name != "web" {
		t.Errorf("with the rollout: %+v", wants)
	}
	wants := Oneshots(r)
	if len(wants) != 2 || wants[0].Spec.Name != "z" || wants[1].Spec.Name != "a" {
		t.Fatalf("not in the order of lain.yaml: %+v", wants)
	}
	if w := wants[0]; w.Attempt != Attempt(6) || w.Started() != 4 {
		t.Errorf("attempt %d of v%d", w.Attempt, w.Started())
	}
	if got := And([]lain.ProcName{"a", "b", "c"}); got != "a, b and c" || And(nil) != "" || And([]lain.ProcName{"a"}) != "a" {
		t.Errorf("%q", got)
	}
}

func TestAOneshotHasOneInstance(t *testing.T) {
	m, findings := manifest.Parse("lain.yaml", []byte("appname: hello\nbuild: {base: b, script: []}\noneshot.up: {cmd: up, num_instances: 3, port: 80}\n"))
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	procs, err := Procs(m, lain.ImageRef{}, Cluster{}, nil)
	if err != nil || procs[0].Instances != 1 || procs[0].Port != 0 {
		t.Errorf("%+v, %v", procs, err)
	}
	n := 2
	change := lain.Change{Why: lain.WhyScale, Sizes: map[lain.ProcName]lain.Size{"up": {Instances: &n}}}
	if _, err := Changed(change, lain.Release{App: "hello", Procs: procs}, lain.Release{}); err == nil || !strings.Contains(err.Error(), "up is a oneshot proc") {
		t.Errorf("scaled: %v", err)
	}
}

func TestProcs(t *testing.T) {
	image := lain.ImageRef{Repository: "hello", Digest: "sha256:" + strings.Repeat("1", 64)}
	m, findings := manifest.Parse("lain.yaml", []byte("appname: hello\nbuild: {base: b, script: []}\nweb: {cmd: run, port: 80}\nworker: {cmd: x, image: redis, memory: 64m}\n"))
	if err := findings.Err(); err != nil {
		t.Fatal(err)
	}
	foreign := lain.ImageRef{Repository: "lain/foreign/redis", Digest: image.Digest}
	procs, err := Procs(m, image, Cluster{DefaultMemory: 256 << 20}, func(string) (lain.ImageRef, error) { return foreign, nil })
	if err != nil || len(procs) != 2 {
		t.Fatalf("%v, %v", procs, err)
	}
	if procs[0].Image != image || procs[0].MemoryBytes != 256<<20 {
		t.Errorf("web: %+v", procs[0])
	}
	if procs[1].Image != foreign || procs[1].MemoryBytes != 64<<20 {
		t.Errorf("worker: %+v", procs[1])
	}
	broken := errors.New("no such image")
	if _, err := Procs(m, image, Cluster{}, func(string) (lain.ImageRef, error) { return image, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
