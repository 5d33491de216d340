package vaultbridge

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// Grace is how long a secret that was handed out is kept although no release names it: its release may not have
// been recorded yet.
const Grace = time.Hour

// Keep names the engine secrets of releases, for Collect.
func Keep(releases ...lain.Release) map[string]bool {
	keep := map[string]bool{}
	for _, r := range releases {
		for _, p := range r.Procs {
			if p.Config != nil {
				keep[p.Config.Secret] = true
			}
			for _, m := range p.Secrets {
				keep[m.Secret] = true
			}
		}
	}
	return keep
}

// Collect removes the engine secrets of this cluster that are not in keep, that no service uses, and that are
// older than Grace and were not handed out since. The answer is what was removed, even with an error. What was
// removed by mistake comes back with Restore.
func (c *Courier) Collect(ctx context.Context, keep map[string]bool, now time.Time) (removed []string, err error) {
	list, err := c.engine.Secrets(ctx, "")
	if err != nil {
		return nil, err
	}
	recent := c.handed.lately(now)
	for _, s := range list {
		if name := s.Spec.Name; keep[name] || recent[name] || now.Sub(s.CreatedAt) < Grace {
			continue
		}
		switch one := c.engine.RemoveSecret(ctx, s); {
		case one == nil:
			removed = append(removed, s.Spec.Name)
		case !errors.Is(one, engine.ErrInUse):
			err = errors.Join(err, one)
		}
	}
	return removed, err
}

// handed knows which names were handed out lately: no release may name them yet.
type handed struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (h *handed) note(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at[name] = time.Now()
}

// lately are the names of the last Grace; older ones are forgotten.
func (h *handed) lately(now time.Time) map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.at, func(_ string, at time.Time) bool { return now.Sub(at) >= Grace })
	names := make(map[string]bool, len(h.at))
	for name := range h.at {
		names[name] = true
	}
	return names
}
