package changes

import (
	"slices"
	"testing"

	"lain.internal/lain/lain"
)

func TestCompare(t *testing.T) {
	image := func(d string) lain.ImageRef { return lain.ImageRef{Repository: "hello", Digest: "sha256:" + d} }
	web := lain.ProcSpec{Name: "web", Type: lain.Web, Image: image("1111111111111111"), Instances: 1, MemoryBytes: 64 << 20, Port: 80, Env: []string{"A=1", "B=secret", "C=3"}}
	a := lain.Release{Commit: "1111111aaaa", Image: web.Image, Procs: []lain.ProcSpec{web, {Name: "old", Type: lain.Worker}},
		Routes: []lain.Route{{Host: "a.test", Path: "/", Proc: "web"}}}
	b := a
	web.Image, web.Instances, web.Cmd, web.Env = image("2222222222222222"), 3, []string{"run", "it"}, []string{"A=1", "B=other", "D=4"}
	b.Commit, b.Image = "2222222bbbb", web.Image
	b.Procs = []lain.ProcSpec{web, {Name: "new", Type: lain.Worker, Instances: 2}}
	b.Routes = []lain.Route{{Host: "b.test", Path: "/x/", Proc: "web", HTTPSOnly: true}}
	want := []string{
		"commit: 1111111 -> 2222222", "image: 111111111111 -> 222222222222", "proc old: removed",
		"web instances: 1 -> 3", `web command: the image's -> ["run","it"]`, "web env: ~B -C +D",
		"proc new: new, worker x 2", "- route a.test/ -> web", "+ route b.test/x/ -> web (https only)",
	}
	if got := Compare(a, b); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if got := Compare(a, a); len(got) != 0 {
		t.Errorf("nothing differs, but: %q", got)
	}
}

func TestScaled(t *testing.T) {
	one := 1
	r := lain.Release{Procs: []lain.ProcSpec{
		{Name: "web", Instances: 3, MemoryBytes: 64 << 20, Declared: &lain.Size{Instances: &one, MemoryBytes: 32 << 20}}, {Name: "worker", Instances: 1},
	}}
	want := []string{"web is scaled: 3 instances (lain.yaml: 1), memory 64 MiB (lain.yaml: 32)"}
	if got := Scaled(r); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
