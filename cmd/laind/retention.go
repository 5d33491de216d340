package main

import (
	"context"
	"time"

	"lain.internal/lain/builder"
	"lain.internal/lain/pipeline"
	"lain.internal/lain/pipeline/plan"
	"lain.internal/lain/runtime/disk"
)

// keepTagged is how long the engine keeps names of images that no record names: of builds that failed on the way.
const keepTagged = 7 * 24 * time.Hour

// startDisk makes the guard that says whether there is room; it begins to watch with retention, which makes some.
func (s *server) startDisk(ctx context.Context) error {
	root, err := s.engine.RootDir(ctx)
	if err != nil {
		return err
	}
	s.disk = disk.New(disk.Options{
		Places:  []disk.Place{{Name: "the server's disk", Path: s.c.Data}, {Name: "the engine's disk", Path: root}},
		MinFree: s.c.MinFree,
		Short: func() {
			if p := s.retains.Load(); p != nil {
				p.MakeRoom()
			}
		},
		Logger: s.log,
	})
	return nil
}

func (s *server) startRetention() {
	s.retains.Store(s.pipeline)
	s.loop("retention", s.pipeline.Retain)
	s.loop("disk", s.disk.Run)
}

// cleaners take away what the pipeline does not keep: first from the engine, whose images the registry can give
// again, then from the registry.
func (s *server) cleaners() []pipeline.Cleaner {
	return []pipeline.Cleaner{
		{Name: "engine", Clean: func(ctx context.Context, k plan.Kept) (int, int64, error) {
			freed, err := s.builder.Clean(ctx, builder.Keep{Images: k.Images, Prepared: k.Prepared,
				Tagged: time.Now().Add(-keepTagged), CacheBytes: s.c.BuildCache})
			return freed.Names, freed.CacheBytes, err
		}},
		{Name: "registry", Clean: func(ctx context.Context, k plan.Kept) (int, int64, error) {
			ctx, leave, err := s.gate.Enter(ctx) // nothing goes while a backup names it
			if err != nil {
				return 0, 0, err
			}
			defer leave()
			keep, err := s.builder.InRegistry(ctx, builder.Keep{Images: k.Images, Prepared: k.Prepared})
			if err != nil {
				return 0, 0, err
			}
			swept, err := s.registry.Sweep(ctx, keep)
			return swept.Manifests, swept.Bytes, err
		}},
	}
}
