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
		{"in the rollout", lain.Run{}, pending, Return},
		{"in the rollout, detached", lain.Run{Detached: true}, pending, Resume},
		{"it serves", lain.Run{}, serving, Finish},
		{"it serves, detached", lain.Run{Detached: true}, serving, Finish},
		{"it served until another did", lain.Run{}, replaced, Finish},
		{"it was taken back", lain.Run{}, failed, Return},
		{"it was taken back, detached", lain.Run{Detached: true}, failed, Return},
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
	wanted := []lain.ProcWant{{Spec: lain.ProcSpec{Name: "web"}}, {Spec: lain.ProcSpec{Name: "old"}}, {Spec: lain.ProcSpec{Name: "ancient"}}}
	got := Removed(wanted, lain.Release{Procs: []lain.ProcSpec{{Name: "web"}, {Name: "new"}}})
	if !slices.Equal(got, []lain.ProcName{"ancient", "old"}) {
		t.Errorf("%v", got)
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
