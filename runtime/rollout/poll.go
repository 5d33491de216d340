package rollout

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// slowestAnswer is how long the engine may take to say what it has before it counts as away.
const slowestAnswer = 10 * time.Second

// poll looks at everything of ours on the engine once in a while, and has those procs looked at whose
// service or tasks are not what they were. Swarm has no events for tasks. It never fails for the engine's sake.
func (c *Controller) poll(ctx context.Context) error {
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	var last map[string]string
	away := false
	for {
		now, err := c.picture(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			c.log.Warn("the engine cannot be read; what runs goes on", "error", err)
		case err == nil && away:
			c.log.Info("the engine is back")
			c.enqueueAll(ctx)
		}
		if away = err != nil; !away {
			c.enqueueChanged(last, now)
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// picture is a short text for each proc that changes when anything of it changes on the engine.
func (c *Controller) picture(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, slowestAnswer)
	defer cancel()
	services, err := c.engine.Services(ctx, "")
	if err != nil {
		return nil, err
	}
	tasks, err := c.engine.Tasks(ctx, "", "")
	if err != nil {
		return nil, err
	}
	return draw(services, tasks), nil
}

func draw(services []swarm.Service, tasks []swarm.Task) map[string]string {
	sums := map[string]uint64{} // the order of tasks does not matter
	for _, t := range tasks {
		if t.Spec.ContainerSpec != nil {
			sums[keyOf(t.Spec.ContainerSpec.Labels)] += mix(t.ID, t.Version.Index)
		}
	}
	for _, s := range services {
		sums[keyOf(s.Spec.Labels)] += mix(s.ID, s.Version.Index)
	}
	picture := make(map[string]string, len(sums))
	for key, sum := range sums {
		picture[key] = fmt.Sprint(sum)
	}
	return picture
}

// mix is FNV-1a over an id and its version.
func mix(id string, version uint64) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return (h ^ version) * 1099511628211
}

func (c *Controller) enqueueChanged(before, after map[string]string) {
	for key, sum := range after {
		if before[key] != sum {
			c.loop.Enqueue(key)
		}
	}
	for key := range maps.Keys(before) {
		if _, there := after[key]; !there {
			c.loop.Enqueue(key)
		}
	}
}

func (c *Controller) enqueueAll(ctx context.Context) {
	keys, err := c.keys(ctx)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("not all procs can be listed; the next full pass will", "error", err)
	}
	for _, key := range keys {
		c.loop.Enqueue(key)
	}
}
