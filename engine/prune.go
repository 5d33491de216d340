package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"

	"lain.internal/lain/failpoint"
)

// ImagesNamed lists the images that have a name which begins with one of the prefixes. Of their names it tells those
// only. Unlike Images it finds what somebody else made and we gave a name to.
func (e *Engine) ImagesNamed(ctx context.Context, prefixes ...string) ([]Image, error) {
	list, err := e.api.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var images []Image
	for _, s := range list {
		var tags []string
		for _, tag := range s.RepoTags {
			if hasPrefix(tag, prefixes) {
				tags = append(tags, tag)
			}
		}
		if len(tags) > 0 {
			images = append(images, Image{ID: s.ID, Tags: tags, Digests: s.RepoDigests, Labels: s.Labels, Created: time.Unix(s.Created, 0).UTC(), Bytes: s.Size})
		}
	}
	return images, nil
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// LastTagged is when an image was given a name last; zero where the engine does not know.
func (e *Engine) LastTagged(ctx context.Context, id string) (time.Time, error) {
	got, err := e.api.ImageInspect(ctx, id)
	if err != nil {
		return time.Time{}, imageError("inspect", id, err)
	}
	return got.Metadata.LastTagTime, nil
}

// PruneBuildCache drops what BuildKit has not used for the longest time, until at most keep bytes are left, and
// returns how many went. The cache carries no labels: on an engine that others build on, theirs is counted too.
// What a build uses at the moment stays.
func (e *Engine) PruneBuildCache(ctx context.Context, keep int64) (freed int64, err error) {
	err = failpoint.Around("engine.buildcache.prune", func() error {
		options := build.CachePruneOptions{All: true, KeepStorage: keep}
		if newPruning(e.api.ClientVersion()) {
			options = build.CachePruneOptions{All: true, MaxUsedSpace: keep, ReservedSpace: keep}
		}
		report, err := e.api.BuildCachePrune(ctx, options)
		if err != nil {
			return fmt.Errorf("prune the build cache: %w", err)
		}
		freed = int64(report.SpaceReclaimed)
		return nil
	})
	return freed, err
}

// newPruning tells whether the API knows the newer names of the limit (1.48).
func newPruning(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 1 || minor >= 48
}

// RootDir is the folder in which the engine keeps images, containers and caches, as its machine names it.
func (e *Engine) RootDir(ctx context.Context) (string, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its folder: %w", err)
	}
	return info.DockerRootDir, nil
}
