package nginx

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestComplaint(t *testing.T) {
	for out, want := range map[string]string{
		"nginx: [emerg] unknown directive \"x\" in /var/lib/lain/router/candidate.conf:12\nnginx: configuration file test failed\n": `unknown directive "x"`,
		"2026/01/01 00:00:00 [emerg] 12#12: host not found in upstream \"a b\" in /x:3\n":                                           `host not found in upstream "a b"`,
		"nginx: [alert] something else\n": "",
		"":                                "",
	} {
		if got := complaint(out); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for out, want := range map[string]string{"nginx version: nginx/1.22.1\n": "1.22.1", "nginx version: nginx/1.18.0 (Ubuntu)": "1.18.0", "": "", "nginx/99999999.1.1": ""} {
		if got := numbered(version(out)); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
	s := New(Options{Dir: t.TempDir(), RunDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := s.AtLeast(1, 19, 4); err != nil {
		t.Error(err)
	}
	if err := s.AtLeast(99, 0, 0); err == nil || !strings.Contains(err.Error(), "TLS needs 99.0.0") {
		t.Error(err)
	}
}

func TestTooMany(t *testing.T) {
	now := time.Now()
	since := map[worker]time.Time{}
	var all []worker
	for i := range keepRetired + 4 {
		w := worker{pid: 100 - i, start: uint64(1000 + i)}
		all = append(all, w)
		since[w] = now.Add(-time.Hour)
	}
	since[all[1]] = now.Add(-time.Second) // too young to be ended
	delete(since, all[2])                 // not seen before: as young as can be
	victims, seen := tooMany(all, since, now)
	if len(victims) != 2 || victims[0].start != 1000 || victims[1].start != 1003 {
		t.Errorf("victims: %v", victims)
	}
	if len(seen) != len(all) || !seen[worker{pid: 98, start: 1002}].Equal(now) {
		t.Errorf("seen: %v", seen)
	}
	if victims, seen := tooMany(nil, since, now); len(victims)+len(seen) != 0 {
		t.Errorf("nobody is left, but %v %v", victims, seen)
	}
}

func TestClosedFolder(t *testing.T) {
	dir, err := os.MkdirTemp("", "lain-closed-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := closedFolder(inner); got != dir {
		t.Errorf("%q is closed, got %q", dir, got)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if got := closedFolder(inner); got != "" {
		t.Errorf("nothing is closed, got %q", got)
	}
}
