package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

var (
	retainNow = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	policy    = Retention{Releases: 3, Failed: 7 * day, Builds: 7 * day}
)

const day = 24 * time.Hour

func image(name string) lain.ImageRef {
	return lain.ImageRef{Repository: "hello", Digest: "sha256:" + name}
}

func release(n int, status lain.ReleaseStatus, endedDaysAgo int) lain.Release {
	ref := image(fmt.Sprintf("v%d", n))
	return lain.Release{App: "hello", Number: n, Status: status, Image: ref, Procs: []lain.ProcSpec{{Name: "web", Image: ref}},
		Ended: retainNow.Add(-time.Duration(endedDaysAgo) * day)}
}

// back is release n, a return to root.
func back(n, root int, status lain.ReleaseStatus) lain.Release {
	r := release(root, status, 1)
	r.Number, r.Why, r.From = n, lain.WhyReturn, root
	return r
}

func TestWhichReleasesAreKept(t *testing.T) {
	served := []lain.Release{release(1, lain.ReleaseReplaced, 90), release(2, lain.ReleaseReplaced, 80), release(3, lain.ReleaseReplaced, 70), release(4, lain.ReleaseServing, 0)}
	for _, c := range []struct {
		name string
		past Past
		want []int
	}{
		{"the one that serves and the newest that served", Past{Releases: served}, []int{4, 3, 2}},
		{"one that is being rolled out", Past{Releases: append(slices.Clone(served), release(5, lain.ReleasePending, 0))}, []int{5, 4, 3, 2}},
		{"a rollout that waits does not push the one that serves out", Past{Releases: []lain.Release{
			release(1, lain.ReleaseServing, 0), release(2, lain.ReleaseFailed, 9), release(3, lain.ReleasePending, 0)}}, []int{3, 1}},
		{"one that failed lately", Past{Releases: append(slices.Clone(served), release(5, lain.ReleaseFailed, 6))}, []int{5, 4, 3, 2}},
		{"one that failed long ago", Past{Releases: append(slices.Clone(served), release(5, lain.ReleaseFailed, 8))}, []int{4, 3, 2}},
		{"a rollback that moves names an old one", Past{Releases: served,
			Runs: []lain.Run{{State: lain.RunQueued, Change: &lain.Change{From: 1}}}}, []int{4, 3, 2, 1}},
		{"a rollback that has ended names none", Past{Releases: served,
			Runs: []lain.Run{{State: lain.RunDone, Change: &lain.Change{From: 1}}}}, []int{4, 3, 2}},
		{"a failed one that is being taken back", Past{Releases: append(slices.Clone(served), release(5, lain.ReleaseFailed, 8)),
			Runs: []lain.Run{{State: lain.RunRunning, Release: 5}}}, []int{5, 4, 3, 2}},
		{"a release and its returns take one place", Past{Releases: []lain.Release{
			release(1, lain.ReleaseReplaced, 9), release(2, lain.ReleaseReplaced, 9), release(3, lain.ReleaseReplaced, 9),
			back(5, 3, lain.ReleaseReplaced), back(7, 3, lain.ReleaseReplaced), release(8, lain.ReleaseReplaced, 9),
			back(10, 8, lain.ReleaseServing)}}, []int{10, 8, 7, 5, 3, 2}},
	} {
		kept, _ := Keep(c.past, policy, retainNow)
		var got []int
		for _, r := range kept.Releases {
			got = append(got, r.Number)
			if !kept.Images[r.Image] {
				t.Errorf("%s: the image of v%d goes", c.name, r.Number)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatServesStaysEvenWhenNothingIsToBeKept(t *testing.T) {
	kept, _ := Keep(Past{Releases: []lain.Release{release(1, lain.ReleaseReplaced, 1), release(2, lain.ReleaseServing, 0)}}, Retention{}, retainNow)
	if len(kept.Releases) != 1 || kept.Releases[0].Number != 2 {
		t.Errorf("%+v", kept.Releases)
	}
}

func TestWhichBuildsGo(t *testing.T) {
	builds := []lain.Build{
		{Key: "old", Image: image("old"), Prepare: "hello:prepare-old", Created: retainNow.Add(-8 * day)},
		{Key: "young", Image: image("young"), Prepare: "hello:prepare-young", Created: retainNow.Add(-6 * day)},
		{Key: "serving", Image: image("v2"), Prepare: "hello:prepare-v2", Created: retainNow.Add(-80 * day)},
	}
	serving := []lain.Release{release(2, lain.ReleaseServing, 0)}
	kept, gone := Keep(Past{Releases: serving, Builds: builds}, policy, retainNow)
	if len(gone) != 1 || gone[0].Key != "old" || kept.Images[image("old")] || kept.Prepared["hello:prepare-old"] {
		t.Errorf("gone %+v, kept %+v", gone, kept)
	}
	if !kept.Images[image("young")] || !kept.Prepared["hello:prepare-young"] || !kept.Prepared["hello:prepare-v2"] {
		t.Errorf("kept %+v", kept)
	}
	if _, gone = Keep(Past{Releases: serving, Builds: builds, Runs: []lain.Run{{State: lain.RunRunning}}}, policy, retainNow); len(gone) != 0 {
		t.Errorf("while a run moves, which may use any build: %+v", gone)
	}
}

func TestWhatRunsStays(t *testing.T) {
	foreign := lain.ImageRef{Repository: "lain/foreign/redis", Digest: "sha256:r"}
	serving := release(1, lain.ReleaseServing, 0)
	serving.Procs = append(serving.Procs, lain.ProcSpec{Name: "cache", Image: foreign})
	var all Kept
	kept, _ := Keep(Past{Releases: []lain.Release{serving}}, policy, retainNow)
	all.Join(kept)
	kept, _ = Keep(Past{Wants: []lain.ProcWant{{Spec: lain.ProcSpec{Image: image("wanted")}}}}, policy, retainNow)
	all.Join(kept)
	if !all.Images[foreign] || !all.Images[image("wanted")] || len(all.Releases) != 1 {
		t.Errorf("%+v", all)
	}
}
