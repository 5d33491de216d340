package archive

import (
	"cmp"
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Part is a folder or a file below the data folder, and how it is copied while others work in it. The zero
// value but for its Path is one that may be copied in any order at any time.
type Part struct {
	Path string // below the data folder, with slashes; what is not there is passed over

	// Skip leaves an entry out, and what lies below it. Path is below the data folder. nil: nothing.
	Skip func(path string, apps map[string]bool) bool

	// Rank orders the entries of a folder: lower ones first, equal ones by name. nil: all by name.
	Rank func(path string) int

	// Quiesce makes the part stand still, so that it can be copied as of one instant, until release is called.
	// nil: it may be copied as it is.
	Quiesce func(context.Context) (release func(), err error)
}

// Repositories are the git repositories: references before objects, since objects are only added, and only those
// of applications in the records. Another is that of a first push, which a restart would not know either.
func Repositories(dir string) Part {
	return Part{Path: dir, Skip: skipGit(dir), Rank: rankGit(dir)}
}

// skipGit leaves out what a push has under its hands: locks, objects that are not taken yet.
func skipGit(dir string) func(string, map[string]bool) bool {
	return func(p string, apps map[string]bool) bool {
		below := strings.TrimPrefix(p, dir+"/")
		repository, inner, deep := strings.Cut(below, "/")
		app, isRepository := strings.CutSuffix(repository, ".git")
		switch {
		case !isRepository:
			return deep || strings.HasPrefix(repository, ".")
		case !apps[app]:
			return true
		}
		name := path.Base(inner)
		return strings.HasSuffix(name, ".lock") ||
			strings.HasPrefix(inner, "objects/") && (strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, "incoming-"))
	}
}

// rankGit puts loose references before packed ones (one that is removed meanwhile would come back with an older
// value otherwise), and both before the objects; in a folder of packs, each pack before its index.
func rankGit(dir string) func(string) int {
	return func(p string) int {
		_, inner, _ := strings.Cut(strings.TrimPrefix(p, dir+"/"), "/")
		switch {
		case inner == "refs":
			return 0
		case inner == "packed-refs":
			return 1
		case inner == "objects":
			return 3
		case strings.HasPrefix(inner, "objects/pack/") && !strings.HasSuffix(inner, ".pack"):
			return 4
		}
		return 2
	}
}

// unfinished are files that the registry has not put in their place yet.
var unfinished = regexp.MustCompile(`\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$`)

// Images are the registry's files: tags before manifests, manifests before the links to their layers, links before
// blobs. Uploads that have not ended are left out; whoever pushes begins them anew.
func Images(dir string) Part {
	return Part{
		Path: dir,
		Skip: func(p string, _ map[string]bool) bool { return path.Base(p) == "_uploads" || unfinished.MatchString(p) },
		Rank: func(p string) int {
			switch path.Base(p) { // beside tags lie revisions, beside _manifests _layers, beside repositories blobs
			case "revisions", "_layers", "blobs":
				return 1
			}
			return 0
		},
	}
}

// sorted gives the names of a folder's entries in the order in which they are copied.
func (p Part) sorted(dir string, names []string) []string {
	slices.SortFunc(names, func(a, b string) int {
		if p.Rank == nil {
			return cmp.Compare(a, b)
		}
		return cmp.Or(cmp.Compare(p.Rank(path.Join(dir, a)), p.Rank(path.Join(dir, b))), cmp.Compare(a, b))
	})
	return orphaned(names)
}

// orphaned leaves out what belongs to a pack that was not there when the folder was read: it came with a push
// that no reference copied so far knows of.
func orphaned(names []string) []string {
	packs := map[string]bool{}
	for _, n := range names {
		if base, ok := strings.CutSuffix(n, ".pack"); ok {
			packs[base] = true
		}
	}
	return slices.DeleteFunc(names, func(n string) bool {
		ext := path.Ext(n)
		return strings.HasPrefix(n, "pack-") && slices.Contains([]string{".idx", ".rev", ".bitmap", ".mtimes"}, ext) &&
			!packs[strings.TrimSuffix(n, ext)]
	})
}
