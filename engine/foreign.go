package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/image"
)

// ForeignImages lists the images that have a name and are no cluster's: somebody else brought them. Newest first.
func (e *Engine) ForeignImages(ctx context.Context) ([]Image, error) {
	list, err := e.api.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var images []Image
	for _, s := range list {
		if _, made := s.Labels[ClusterLabel]; made || len(s.RepoTags) == 0 {
			continue
		}
		images = append(images, Image{ID: s.ID, Tags: s.RepoTags, Digests: s.RepoDigests, Labels: s.Labels,
			Created: time.Unix(s.Created, 0).UTC(), Bytes: s.Size})
	}
	return images, nil
}
