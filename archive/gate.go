package archive

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// many is more removals than there will ever be at once.
const many = 1 << 30

// Gate lets things be removed, or a backup be written, but never both at once. The zero value is not one; see
// NewGate. It is safe for many goroutines.
type Gate struct {
	room *semaphore.Weighted
	held atomic.Bool
}

// NewGate makes one that is open.
func NewGate() *Gate { return &Gate{room: semaphore.NewWeighted(many)} }

type inside struct{}

// Enter waits until no backup is being written and keeps the next one waiting until leave is called. Who removes
// what a record named, or still names, is inside: the destruction of an application, the packing of a
// repository, the collection of garbage. Within the context it returns entering again costs nothing.
func (g *Gate) Enter(ctx context.Context) (in context.Context, leave func(), err error) {
	if ctx.Value(inside{}) == g {
		return ctx, func() {}, nil
	}
	if err := g.room.Acquire(ctx, 1); err != nil {
		return ctx, nil, fmt.Errorf("wait until the backup is written: %w", context.Cause(ctx))
	}
	return context.WithValue(ctx, inside{}, g), func() { g.room.Release(1) }, nil
}

// Hold waits until nobody is inside and keeps everybody out until release is called, once.
func (g *Gate) Hold(ctx context.Context) (release func(), err error) {
	if err := g.room.Acquire(ctx, many); err != nil {
		return nil, fmt.Errorf("wait until nothing is being removed: %w", context.Cause(ctx))
	}
	g.held.Store(true)
	return func() { g.held.Store(false); g.room.Release(many) }, nil
}

// Held reports that a backup is being written, for those who want to say why they wait.
func (g *Gate) Held() bool { return g.held.Load() }
