package engine

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"lain.internal/lain/lain"
)

// taskLabel is how Swarm names the task of a container on the container.
const taskLabel = "com.docker.swarm.task.id"

// Memory is what a container takes and may take, in bytes.
type Memory struct {
	Used  int64 // without files that the kernel could drop
	Limit int64
}

// statsAtOnce is how many containers the engine is asked about at a time.
const statsAtOnce = 16

// TaskMemory is the memory of an application's containers on this engine's own machine now, by the id of their task. A
// container for which the engine has no answer before ctx ends is left out.
func (e *Engine) TaskMemory(ctx context.Context, app lain.AppName) (map[string]Memory, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: e.filter(app, "")})
	if err != nil {
		return nil, explain("list containers", err)
	}
	var mu sync.Mutex
	all := map[string]Memory{}
	var g errgroup.Group
	g.SetLimit(statsAtOnce)
	for _, c := range list {
		g.Go(func() error {
			if m, err := e.memory(ctx, c.ID); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all[c.Labels[taskLabel]] = m
			}
			return nil
		})
	}
	return all, g.Wait()
}

func (e *Engine) memory(ctx context.Context, id string) (Memory, error) {
	got, err := e.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return Memory{}, explain("stats of container "+id, err)
	}
	defer got.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&stats); err != nil {
		return Memory{}, explain("stats of container "+id, err)
	}
	if stats.MemoryStats.Usage == 0 { // it has ended meanwhile
		return Memory{}, ErrNotFound
	}
	return memoryOf(stats.MemoryStats), nil
}

// memoryOf takes off what the page cache holds of files that were not used lately: total_inactive_file in version 1 of
// the kernel's control groups, inactive_file in version 2. docker stats counts so too.
func memoryOf(s container.MemoryStats) Memory {
	cache, v1 := s.Stats["total_inactive_file"]
	if !v1 {
		cache = s.Stats["inactive_file"]
	}
	return Memory{Used: int64(s.Usage - min(cache, s.Usage)), Limit: int64(s.Limit)}
}
