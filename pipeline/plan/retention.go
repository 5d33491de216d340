package plan

import (
	"cmp"
	"slices"
	"time"

	"lain.internal/lain/lain"
)

// Retention is how much of the past stays deployable.
type Retention struct {
	Releases int           // of an application that served, the newest; at least one is kept, whatever this says
	Failed   time.Duration // after its end, a release that never served
	Builds   time.Duration // after its making, a build that no kept release stands on
}

// Past is what an application has behind it, as its records tell.
type Past struct {
	Releases []lain.Release
	Runs     []lain.Run
	Builds   []lain.Build
	Wants    []lain.ProcWant // what runs now, or is on its way
}

// Kept is what must stay of all applications. All else of ours in the registry and the engine may go.
type Kept struct {
	Releases []lain.Release // whose images and secrets stay
	Images   map[lain.ImageRef]bool
	Prepared map[string]bool // names of prepare images in the engine
}

// Keep decides for one application: what stays, and the builds whose records go.
func Keep(p Past, r Retention, now time.Time) (Kept, []lain.Build) {
	k := Kept{Images: map[lain.ImageRef]bool{}, Prepared: map[string]bool{}, Releases: keptReleases(p, r, now)}
	for _, release := range k.Releases {
		k.image(release.Image)
		for _, proc := range release.Procs {
			k.image(proc.Image)
		}
	}
	for _, w := range p.Wants {
		k.image(w.Spec.Image)
	}
	moving := slices.ContainsFunc(p.Runs, func(run lain.Run) bool { return !run.State.Ended() })
	var gone []lain.Build
	for _, b := range p.Builds {
		if !moving && !k.Images[b.Image] && now.Sub(b.Created) > r.Builds {
			gone = append(gone, b)
			continue
		}
		k.image(b.Image)
		k.Prepared[b.Prepare] = true
	}
	delete(k.Prepared, "")
	return k, gone
}

// Join adds what another application keeps.
func (k *Kept) Join(other Kept) {
	if k.Images == nil {
		k.Images, k.Prepared = map[lain.ImageRef]bool{}, map[string]bool{}
	}
	k.Releases = append(k.Releases, other.Releases...)
	for ref := range other.Images {
		k.Images[ref] = true
	}
	for name := range other.Prepared {
		k.Prepared[name] = true
	}
}

func (k *Kept) image(ref lain.ImageRef) {
	if ref != (lain.ImageRef{}) {
		k.Images[ref] = true
	}
}

// keptReleases are, newest first: the one that serves, those that are being rolled out, the newest that served,
// those that failed lately, and those that a moving run is of or made of. A release and its returns are one: they
// stay together, and take one place.
func keptReleases(p Past, r Retention, now time.Time) []lain.Release {
	named := map[int]bool{}
	for _, run := range p.Runs {
		if run.State.Ended() {
			continue
		}
		named[run.Release] = true
		if run.Change != nil {
			named[run.Change.From] = true
		}
	}
	releases := slices.SortedFunc(slices.Values(p.Releases), func(a, b lain.Release) int { return cmp.Compare(b.Number, a.Number) })
	served := map[int]bool{} // the roots that have their place; the one that serves is the first of them
	return slices.DeleteFunc(releases, func(one lain.Release) bool {
		switch one.Status {
		case lain.ReleaseServing:
			served[one.Root()] = true
			return false
		case lain.ReleasePending:
			return false
		case lain.ReleaseReplaced:
			if len(served) < r.Releases {
				served[one.Root()] = true
			}
			return !served[one.Root()] && !named[one.Number]
		}
		return now.Sub(one.Ended) > r.Failed && !named[one.Number]
	})
}
