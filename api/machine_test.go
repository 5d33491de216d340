package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestBases(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	r.api.Now = func() time.Time { return now }
	r.far.images = []engine.Image{
		{ID: "sha256:0123456789abcdef", Tags: []string{"lain/golang:1.26", "127.0.0.1:5000/foreign/golang:x", "golang:1"}, Bytes: 800_000_000, Created: now.Add(-72 * time.Hour)},
		{ID: "sha256:1123456789abcdef", Tags: []string{"lain.invalid/test/base:1"}},
	}
	want := `NAME              SIZE   AGE  ID
golang:1          800MB  3d   0123456789ab
lain/golang:1.26  800MB  3d   0123456789ab
`
	if _, out, _ := r.do("bases"); out != want {
		t.Errorf("\n%s, want\n%s", out, want)
	}
}

func TestCapacity(t *testing.T) {
	r := newRig(t)
	proc := func(app lain.AppName, spec lain.ProcSpec) {
		put(t, r.api.wants, lain.ProcKey(app, spec.Name), lain.ProcWant{App: app, Spec: spec})
	}
	proc("hello", lain.ProcSpec{Name: "web", Instances: 4, MemoryBytes: 256 << 20, CPULevel: 4})
	proc("other", lain.ProcSpec{Name: "web", Instances: 1, MemoryBytes: 1 << 30})
	for words, want := range map[string]string{
		"capacity":              "8 more instances of 256MiB fit",
		"capacity --memory 3g":  "0 more instances of 3GiB fit",
		"capacity --memory 64m": "32 more instances of 64MiB fit",
	} {
		if _, out, errs := r.do(strings.Fields(words)...); !strings.Contains(out, want) || !strings.Contains(out, "memory  2GiB ") || !strings.Contains(out, "2, and 1 of 5 instances without a limit") ||
			!strings.Contains(out, "10GiB") || !strings.Contains(out, "n2    8     64GiB   away") {
			t.Errorf("%s: %s\n%s", words, errs, out)
		}
	}
	var got room
	_, out, _ := r.do("capacity", "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Fits != 8 || got.Memory != 4<<30 || got.Limits != 2<<30 || len(got.Disks) != 1 {
		t.Errorf("%v %+v", err, got)
	}
	proc("large", lain.ProcSpec{Name: "web", Instances: 100, MemoryBytes: 1 << 30})
	if _, out, _ := r.do("capacity"); !strings.Contains(out, "0 more instances") {
		t.Errorf("beyond what there is:\n%s", out)
	}
}
