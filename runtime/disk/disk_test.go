package disk

import (
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"lain.internal/lain/lain/fault"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

type space struct{ free, total int64 }

// guard watches disks whose room the test sets.
func guard(o Options, disks map[string]space) (*Guard, *int) {
	kicks := new(int)
	o.Short, o.Logger = func() { *kicks++ }, slog.New(slog.DiscardHandler)
	o.Places = []Place{{"the server's disk", "/data"}, {"the engine's disk", "/engine"}}
	g := New(o)
	g.stat = func(path string) (int64, int64, error) {
		s, ok := disks[path]
		switch {
		case !ok:
			return 0, 0, fs.ErrNotExist
		case s.total == 0:
			return 0, 0, errors.New("it does not answer")
		}
		return s.free, s.total, nil
	}
	return g, kicks
}

func TestRoom(t *testing.T) {
	plenty := space{500 * gib, 1000 * gib}
	for _, c := range []struct {
		name    string
		minFree int64
		disks   map[string]space
		want    string // in the sentence; "": there is room
	}{
		{"plenty", 0, map[string]space{"/data": plenty, "/engine": plenty}, ""},
		{"a small disk needs 512 MiB", 0, map[string]space{"/data": {210 * mib, 10 * gib}},
			"the server's disk has 210 MiB left, pushes wait until 512 MiB are free; running applications are not touched"},
		{"a small disk that has them", 0, map[string]space{"/data": {512 * mib, 10 * gib}}, ""},
		{"a large disk needs 2 %", 0, map[string]space{"/data": {19 * gib, 1000 * gib}}, "until 20480 MiB are free"},
		{"a large disk that has them", 0, map[string]space{"/data": {20 * gib, 1000 * gib}}, ""},
		{"the engine's disk counts too", 0, map[string]space{"/data": plenty, "/engine": {1, 10 * gib}}, "the engine's disk has 0 MiB left"},
		{"an engine elsewhere does not", 0, map[string]space{"/data": plenty}, ""},
		{"a reserve that was set", 64 * mib, map[string]space{"/data": {65 * mib, 1000 * gib}}, ""},
		{"less than was set", 64 * mib, map[string]space{"/data": {63 * mib, 1000 * gib}}, "until 64 MiB are free"},
		{"a disk that does not answer refuses nothing", 0, map[string]space{"/data": {}, "/engine": plenty}, ""},
	} {
		g, kicks := guard(Options{MinFree: c.minFree}, c.disks)
		err := g.Room()
		switch {
		case c.want == "" && (err != nil || *kicks != 0):
			t.Errorf("%s: %v, %d kicks", c.name, err, *kicks)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || fault.Of(err).Kind != fault.Unavailable || *kicks != 1):
			t.Errorf("%s: %v, %d kicks", c.name, err, *kicks)
		}
	}
}

func TestARealDisk(t *testing.T) {
	g := New(Options{Places: []Place{{"the server's disk", t.TempDir()}}, MinFree: 1, Logger: slog.New(slog.DiscardHandler)})
	if err := g.Room(); err != nil {
		t.Error(err)
	}
	g.o.MinFree = 1 << 62
	if err := g.Room(); err == nil {
		t.Error("an impossible reserve is there")
	}
}

func TestUsageIsOfTheDisksThatAnswer(t *testing.T) {
	g, _ := guard(Options{MinFree: 3 * gib}, map[string]space{"/data": {5 * gib, 10 * gib}, "/engine": {}})
	got := g.Usage()
	if want := (Usage{Name: "the server's disk", Path: "/data", Free: 5 * gib, Total: 10 * gib, Reserve: 3 * gib}); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
}
