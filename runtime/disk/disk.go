// Package disk says whether the node's disks have room for something new.
//
// What takes room (a push, a build, an image) asks first, and is refused in a sentence while there is less than a
// reserve. The reserve is for what must go on: the state store, the logs, the applications. Nothing that runs is
// touched for want of room, and nothing is deleted here: the guard tells whoever can.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"

	"lain.internal/lain/lain/fault"
)

// leastFree is the reserve on a disk for which none is set: 2 % of it, but at least this many bytes.
const leastFree = 512 << 20

// Place is a folder whose file system is watched.
type Place struct {
	Name string // for sentences: "the server's disk"
	Path string // one that is not there (a remote engine's) is passed over
}

// Options of a Guard.
type Options struct {
	Places  []Place
	MinFree int64  // bytes that are kept in reserve; 0: 2 % of the disk, at least 512 MiB
	Short   func() // called whenever there is too little; it must not block. nil: nobody is told
	Every   time.Duration
	Logger  *slog.Logger
}

// Guard watches. It is safe for concurrent use.
type Guard struct {
	o     Options
	stat  func(path string) (free, total int64, err error)
	short atomic.Bool // as far as the log knows
}

// New makes a guard. Zero options take their defaults: a look every 5 seconds.
func New(o Options) *Guard {
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Short == nil {
		o.Short = func() {}
	}
	return &Guard{o: o, stat: statfs}
}

// Room returns nil while every disk has its reserve, and otherwise a fault of kind Unavailable whose sentence says
// which has not. A disk that can't be looked at refuses nothing.
func (g *Guard) Room() error {
	for _, place := range g.o.Places {
		free, total, err := g.stat(place.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			g.o.Logger.Warn("a disk can't be looked at", "path", place.Path, "error", err)
			continue
		}
		if want := g.reserve(total); free < want {
			g.o.Short()
			return refusal(place.Name, free, want)
		}
	}
	return nil
}

// Usage is how much there is on the disk of a place, in bytes.
type Usage struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Free    int64  `json:"free_bytes"`
	Total   int64  `json:"total_bytes"`
	Reserve int64  `json:"reserve_bytes"` // with less than this free, nothing new is taken
}

// Usage tells of each place that can be looked at.
func (g *Guard) Usage() []Usage {
	all := []Usage{}
	for _, place := range g.o.Places {
		if free, total, err := g.stat(place.Path); err == nil {
			all = append(all, Usage{Name: place.Name, Path: place.Path, Free: free, Total: total, Reserve: g.reserve(total)})
		}
	}
	return all
}

// Refuse is Room for a push that is at the door: what it refuses is counted.
//
//	lain_disk_refusals_total
func (g *Guard) Refuse() error {
	err := g.Room()
	if err != nil {
		metrics.GetOrCreateCounter("lain_disk_refusals_total").Inc()
	}
	return err
}

func (g *Guard) reserve(total int64) int64 {
	if g.o.MinFree > 0 {
		return g.o.MinFree
	}
	return max(total/50, leastFree)
}

func refusal(name string, free, want int64) *fault.Fault {
	return fault.New(fault.Unavailable, "%s has %d MiB left, pushes wait until %d MiB are free; running applications are not touched",
		name, free>>20, (want+1<<20-1)>>20).WithHint("Old images are being removed. If that does not help, the server's owner must make room.")
}

// Run looks again and again until ctx ends, tells Short, and logs when it begins and when it is over.
func (g *Guard) Run(ctx context.Context) error {
	g.gauges()
	tick := time.NewTicker(g.o.Every)
	defer tick.Stop()
	for {
		g.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (g *Guard) look() {
	err := g.Room()
	if was := g.short.Swap(err != nil); was == (err != nil) {
		return
	}
	if err != nil {
		g.o.Logger.Error("pushes are refused for want of room", "why", err)
		return
	}
	g.o.Logger.Info("there is room again, pushes are taken")
}

// gauges answer: how long will the disk last?
//
//	lain_disk_free_bytes{path="..."}
func (g *Guard) gauges() {
	for _, place := range g.o.Places {
		metrics.GetOrCreateGauge(fmt.Sprintf("lain_disk_free_bytes{path=%q}", place.Path), func() float64 {
			free, _, err := g.stat(place.Path)
			if err != nil {
				return -1
			}
			return float64(free)
		})
	}
}

// statfs tells what others than root may use: git runs as another user.
func statfs(path string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}
