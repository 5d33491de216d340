package builder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// Keep is what must stay in the engine.
type Keep struct {
	Images     map[lain.ImageRef]bool
	Prepared   map[string]bool // names of prepare images
	Tagged     time.Time       // what got its name later stays too
	CacheBytes int64           // of the build cache, at most; 0: it is left alone
}

// InRegistry are the images that must stay in the registry.
func (b *Builder) InRegistry(ctx context.Context, keep Keep) (map[lain.ImageRef]bool, error) {
	all, err := b.backend.kept(ctx, keep)
	if all == nil {
		all = map[lain.ImageRef]bool{}
	}
	maps.Copy(all, keep.Images)
	return all, err
}

// Freed is what Clean took away.
type Freed struct {
	Names      int   // of images; an image goes with its last one
	CacheBytes int64 // of the build cache
}

// Clean takes our names from the engine's images that are not to be kept, and prunes its build cache. Images that a
// container uses, names that a build needs now or needed within the last hour, and names that are not ours stay. It does what it can,
// and the answer is what it did, even with an error.
func (b *Builder) Clean(ctx context.Context, keep Keep) (freed Freed, err error) {
	names, err := b.unneeded(ctx, keep)
	for _, name := range names {
		gone, one := b.drop(ctx, name)
		if gone {
			freed.Names++
		}
		err = errors.Join(err, one)
	}
	if keep.CacheBytes > 0 {
		var one error
		freed.CacheBytes, one = b.options.Engine.PruneBuildCache(ctx, keep.CacheBytes)
		err = errors.Join(err, one)
	}
	return freed, err
}

// unneeded are the names of ours that nothing in keep names and that are older than keep.Tagged.
func (b *Builder) unneeded(ctx context.Context, keep Keep) ([]string, error) {
	e := b.options.Engine
	labelled, err := e.Images(ctx)
	if err != nil {
		return nil, err
	}
	copies, err := e.ImagesNamed(ctx, b.options.RegistryHost+"/"+foreignPrefix, pins(b.options))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, image := range slices.Concat(labelled, copies) {
		names := b.spare(image, keep)
		if len(names) == 0 {
			continue
		}
		at, err := e.LastTagged(ctx, image.ID)
		if errors.Is(err, engine.ErrNoImage) {
			continue
		}
		if err != nil {
			return all, err
		}
		if at.Before(keep.Tagged) {
			all = append(all, names...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pins begins the names that bases have in the engine while they are built on. For a buildkitd they are pushed by them.
func pins(o Options) string {
	if o.BuildKit.Addr != "" {
		return o.RegistryHost + "/" + basePrefix + ":"
	}
	return "lain.invalid/" + string(o.Engine.Cluster()) + "/base:"
}

// spare are the names of an image that we gave it and that keep does not need. A base's name serves one build at a
// time, and the next one gives it anew.
func (b *Builder) spare(image engine.Image, keep Keep) []string {
	host := b.options.RegistryHost + "/"
	if slices.ContainsFunc(image.Digests, func(d string) bool { return keep.has(strings.TrimPrefix(d, host)) }) {
		return nil
	}
	app := image.Labels[appLabel]
	return slices.DeleteFunc(namesOf(image), func(tag string) bool {
		switch {
		case strings.HasPrefix(tag, pins(b.options)), strings.HasPrefix(tag, host+foreignPrefix):
			return false
		case app == "":
			return true
		}
		return !strings.HasPrefix(tag, host+app+":release-") && !strings.HasPrefix(tag, host+app+"@") && !strings.HasPrefix(tag, app+":build-") &&
			(!strings.HasPrefix(tag, app+":prepare-") || keep.Prepared[tag])
	})
}

// namesOf are an image's tags; of one that has none, since it was pulled by digest, its digests.
func namesOf(image engine.Image) []string {
	for _, names := range [][]string{image.Tags, image.Digests} {
		given := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasPrefix(name, "<none>") })
		if len(given) > 0 {
			return given
		}
	}
	return nil
}

func (k Keep) has(repositoryDigest string) bool {
	repository, digest, ok := strings.Cut(repositoryDigest, "@")
	return ok && k.Images[lain.ImageRef{Repository: repository, Digest: digest}]
}

// drop takes a name away, unless a build needs it or a container uses the image.
func (b *Builder) drop(ctx context.Context, name string) (gone bool, err error) {
	err = b.names.unless(name, func() error { return b.options.Engine.RemoveImage(ctx, name) })
	if errors.Is(err, engine.ErrInUse) || errors.Is(err, errNeeded) {
		return false, nil
	}
	return err == nil, err
}

// needed knows the names of images that builds hold on to.
type needed struct {
	mu    sync.Mutex
	held  map[string]int
	until map[string]time.Time // of those let go of lately: the record of their build may be on its way
}

// errNeeded means that a name may not be taken away now.
var errNeeded = errors.New("a build needs it")

const neededAfter = time.Hour

// hold keeps a name from being taken away while take runs and afterwards, until letGo.
func (n *needed) hold(name string, take func() error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held, n.until = map[string]int{}, map[string]time.Time{}
	}
	if err := take(); err != nil {
		return err
	}
	n.held[name]++
	return nil
}

func (n *needed) letGo(names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.until[name] = time.Now().Add(neededAfter)
		if n.held[name]--; n.held[name] <= 0 {
			delete(n.held, name)
		}
	}
}

// unless runs remove where nobody needs the name; errNeeded where somebody does.
func (n *needed) unless(name string, remove func() error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held[name] > 0 || time.Now().Before(n.until[name]) {
		return errNeeded
	}
	delete(n.until, name)
	return remove()
}
