package registry

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	distribref "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// Grace is how long what was pushed, asked for or referred to is kept although nothing keeps it: its record may
// not have been written yet.
const Grace = time.Hour

// Swept is what a sweep took away.
type Swept struct {
	Manifests int
	Blobs     int
	Bytes     int64 // of the blobs
}

// Sweep deletes the manifests that are not in keep, and then the blobs that no manifest refers to. What is younger
// than Grace stays. Pushes and pulls go on meanwhile and lose nothing. It stops at the first error, and may be
// stopped at any point, by a crash too: kept images are whole at each, and the next sweep goes on. One runs at a time.
func (r *Registry) Sweep(ctx context.Context, keep map[lain.ImageRef]bool) (Swept, error) {
	r.sweeping.Lock()
	defer r.sweeping.Unlock()
	files, err := filesystem.FromParameters(map[string]any{"rootdirectory": r.dir})
	if err != nil {
		return Swept{}, fmt.Errorf("sweep the registry: %w", err)
	}
	space, err := storage.NewRegistry(ctx, files, storage.EnableDelete)
	if err != nil {
		return Swept{}, fmt.Errorf("sweep the registry: %w", err)
	}
	s := &sweep{r: r, files: files, space: space, vacuum: storage.NewVacuum(ctx, files), marked: map[digest.Digest]bool{}, before: time.Now().Add(-Grace)}
	if err := s.run(ctx, keep); err != nil {
		return s.swept, fmt.Errorf("sweep the registry: %w", err)
	}
	r.lately.forget()
	return s.swept, nil
}

// sweep is one passage over the store.
type sweep struct {
	r      *Registry
	files  driver.StorageDriver
	space  distribution.Namespace
	vacuum storage.Vacuum
	marked map[digest.Digest]bool // what a manifest that stays is, or refers to
	before time.Time              // what is younger stays
	swept  Swept
}

// run deletes in the order in which a crash does no harm: manifests, links to blobs, blobs.
func (s *sweep) run(ctx context.Context, keep map[lain.ImageRef]bool) error {
	repositories, err := s.repositories(ctx)
	if err != nil {
		return err
	}
	if err := s.marks(ctx, repositories, func(name string, d digest.Digest) bool {
		return keep[lain.ImageRef{Repository: name, Digest: d.String()}]
	}); err != nil { // a kept index keeps the manifests it names
		return err
	}
	for _, repository := range repositories {
		if err := s.manifests(ctx, repository); err != nil {
			return err
		}
	}
	if err := s.marks(ctx, repositories, func(string, digest.Digest) bool { return true }); err != nil {
		return err
	}
	for _, repository := range repositories {
		if err := s.links(ctx, repository); err != nil {
			return err
		}
	}
	if err := s.blobs(ctx); err != nil {
		return err
	}
	for _, repository := range repositories {
		if err := s.uploads(ctx, folder(repository, "_uploads")); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweep) repositories(ctx context.Context) ([]distribution.Repository, error) {
	enumerator, ok := s.space.(distribution.RepositoryEnumerator)
	if !ok {
		return nil, errors.New("its repositories can't be listed")
	}
	names, err := s.list(ctx, path.Join(root, "repositories"), enumerator.Enumerate)
	var all []distribution.Repository
	for _, name := range names {
		named, badName := distribref.WithName(name)
		repository, badRepository := s.space.Repository(ctx, named)
		if err = errors.Join(err, badName, badRepository); err != nil {
			return nil, err
		}
		all = append(all, repository)
	}
	return all, err
}

// digests lists what an enumerator of distribution's finds in a folder.
func (s *sweep) digests(ctx context.Context, dir string, from any) ([]digest.Digest, error) {
	enumerator, ok := from.(distribution.ManifestEnumerator) // blobs are listed by one of the same form
	if !ok {
		return nil, errors.New("its content can't be listed")
	}
	names, err := s.list(ctx, dir, func(ctx context.Context, found func(string) error) error {
		return enumerator.Enumerate(ctx, func(d digest.Digest) error { return found(d.String()) })
	})
	all := make([]digest.Digest, len(names))
	for i, name := range names {
		all[i] = digest.Digest(name)
	}
	return all, err
}

// list runs an enumeration to its end, for half a list would make needed things look unneeded. A folder that is not
// there is empty; one that changes while it is listed is listed again.
func (s *sweep) list(ctx context.Context, dir string, enumerate func(context.Context, func(string) error) error) (all []string, err error) {
	if _, err := s.files.Stat(ctx, dir); err != nil {
		return nil, absent(err)
	}
	for range 10 {
		all = nil
		err = enumerate(ctx, func(one string) error {
			all = append(all, one)
			return ctx.Err()
		})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return all, err
}

// absent takes it as no error that a file is not there.
func absent(err error) error {
	if _, missing := errors.AsType[driver.PathNotFoundError](err); missing {
		return nil
	}
	return err
}

// marks marks the manifests for which pick answers true, and what they refer to.
func (s *sweep) marks(ctx context.Context, repositories []distribution.Repository, pick func(string, digest.Digest) bool) error {
	for _, repository := range repositories {
		manifests, err := repository.Manifests(ctx)
		if err != nil {
			return err
		}
		all, err := s.digests(ctx, folder(repository, "_manifests/revisions"), manifests)
		if err != nil {
			return err
		}
		for _, d := range all {
			if !pick(repository.Named().Name(), d) {
				continue
			}
			if err := s.mark(ctx, manifests, d); err != nil {
				return fmt.Errorf("%s@%s: %w", repository.Named(), d, err)
			}
		}
	}
	return nil
}

// mark follows an index to its manifests. One that was lost refers to nothing.
func (s *sweep) mark(ctx context.Context, manifests distribution.ManifestService, d digest.Digest) error {
	s.marked[d] = true
	manifest, err := manifests.Get(ctx, d)
	if _, unknown := errors.AsType[distribution.ErrManifestUnknownRevision](err); unknown {
		return nil
	}
	if err != nil {
		return err
	}
	for _, one := range manifest.References() {
		if s.marked[one.Digest] {
			continue
		}
		s.marked[one.Digest] = true
		if is, err := manifests.Exists(ctx, one.Digest); err != nil || !is {
			continue // a blob
		}
		if err := s.mark(ctx, manifests, one.Digest); err != nil {
			return err
		}
	}
	return nil
}

// The places of things below the store's root (distribution, registry/storage/paths.go). They are looked at for
// their age only.
const root = "/docker/registry/v2/"

func blobPath(d digest.Digest) string {
	return path.Join(root, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}

func folder(repository distribution.Repository, kind string) string {
	return path.Join(root, "repositories", repository.Named().Name(), kind)
}

func linkPath(folder string, d digest.Digest) string {
	return path.Join(folder, d.Algorithm().String(), d.Encoded(), "link")
}

// unlessNeeded runs del, unless something that stays refers to d, or its file is young, or somebody has named it
// lately. It answers whether del did it, and the file's size.
func (s *sweep) unlessNeeded(ctx context.Context, d digest.Digest, file string, del func() error) (gone bool, size int64, err error) {
	if s.marked[d] || ctx.Err() != nil {
		return false, 0, ctx.Err()
	}
	info, err := s.files.Stat(ctx, file)
	if absent(err) != nil {
		return false, 0, err
	}
	if err == nil {
		size = info.Size()
		if !info.ModTime().Before(s.before) {
			return false, size, nil
		}
	}
	gone, err = s.r.lately.unless(d.String(), del)
	return gone, size, err
}

// manifests deletes those that are not marked.
func (s *sweep) manifests(ctx context.Context, repository distribution.Repository) error {
	service, err := repository.Manifests(ctx)
	if err != nil {
		return err
	}
	all, err := s.digests(ctx, folder(repository, "_manifests/revisions"), service)
	if err != nil {
		return err
	}
	for _, d := range all {
		gone, _, err := s.unlessNeeded(ctx, d, linkPath(folder(repository, "_manifests/revisions"), d), func() error {
			return failpoint.Around("registry.sweep.manifest", func() error { return s.manifest(ctx, repository, d) })
		})
		if err != nil {
			return err
		}
		if gone {
			s.swept.Manifests++
		}
	}
	return nil
}

// manifest deletes one, the tags that name it first.
func (s *sweep) manifest(ctx context.Context, repository distribution.Repository, d digest.Digest) error {
	tags := repository.Tags(ctx)
	current, err := tags.Lookup(ctx, ocispec.Descriptor{Digest: d})
	if absent(err) != nil {
		return err
	}
	for _, tag := range current {
		if err := tags.Untag(ctx, tag); absent(err) != nil {
			return err
		}
	}
	others, err := tags.All(ctx) // they may have named it before
	if _, none := errors.AsType[distribution.ErrRepositoryUnknown](err); err != nil && !none {
		return err
	}
	return absent(s.vacuum.RemoveManifest(repository.Named().Name(), d, others))
}

// links deletes a repository's claims on blobs that no manifest refers to.
func (s *sweep) links(ctx context.Context, repository distribution.Repository) error {
	all, err := s.digests(ctx, folder(repository, "_layers"), repository.Blobs(ctx))
	if err != nil {
		return err
	}
	name := repository.Named().Name()
	for _, d := range all {
		if _, _, err := s.unlessNeeded(ctx, d, linkPath(folder(repository, "_layers"), d), func() error {
			return failpoint.Around("registry.sweep.link", func() error { return absent(s.vacuum.RemoveLayer(name, d)) })
		}); err != nil {
			return err
		}
	}
	return nil
}

// blobs deletes those that no manifest refers to.
func (s *sweep) blobs(ctx context.Context) error {
	all, err := s.digests(ctx, path.Join(root, "blobs"), s.space.Blobs())
	if err != nil {
		return err
	}
	for _, d := range all {
		gone, size, err := s.unlessNeeded(ctx, d, blobPath(d), func() error {
			return failpoint.Around("registry.sweep.blob", func() error { return absent(s.vacuum.RemoveBlob(d.String())) })
		})
		if err != nil {
			return err
		}
		if gone {
			s.swept.Blobs, s.swept.Bytes = s.swept.Blobs+1, s.swept.Bytes+size
		}
	}
	return nil
}

// uploads deletes what broken pushes left.
func (s *sweep) uploads(ctx context.Context, dir string) error {
	all, err := s.files.List(ctx, dir)
	if err != nil {
		return absent(err)
	}
	for _, upload := range all {
		begun, err := s.files.Stat(ctx, path.Join(upload, "startedat"))
		if absent(err) != nil {
			return err
		}
		if err != nil || !begun.ModTime().Before(s.before) {
			continue
		}
		if err := failpoint.Around("registry.sweep.upload", func() error { return absent(s.files.Delete(ctx, upload)) }); err != nil {
			return err
		}
	}
	return nil
}
