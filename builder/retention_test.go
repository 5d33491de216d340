package builder

import (
	"errors"
	"slices"
	"testing"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestWhichNamesAreSpare(t *testing.T) {
	b := &Builder{options: Options{Engine: &engine.Engine{}, RegistryHost: "127.0.0.1:5000"}}
	keep := Keep{Images: map[lain.ImageRef]bool{{Repository: "hello", Digest: "sha256:k"}: true}, Prepared: map[string]bool{"hello:prepare-k": true}}
	hello := map[string]string{appLabel: "hello"}
	for _, c := range []struct {
		name  string
		image engine.Image
		want  []string
	}{
		{"a release that nothing keeps", engine.Image{Labels: hello, Tags: []string{"127.0.0.1:5000/hello:release-1-abc"}, Digests: []string{"127.0.0.1:5000/hello@sha256:x"}},
			[]string{"127.0.0.1:5000/hello:release-1-abc"}},
		{"a release that is kept", engine.Image{Labels: hello, Tags: []string{"127.0.0.1:5000/hello:release-1-abc"}, Digests: []string{"127.0.0.1:5000/hello@sha256:k"}}, nil},
		{"the same content elsewhere keeps nothing", engine.Image{Labels: hello, Tags: []string{"127.0.0.1:5000/hello:release-1-abc"}, Digests: []string{"elsewhere:5000/hello@sha256:k"}},
			[]string{"127.0.0.1:5000/hello:release-1-abc"}},
		{"a release that was pulled by digest", engine.Image{Labels: hello, Tags: []string{"<none>:<none>"}, Digests: []string{"127.0.0.1:5000/hello@sha256:x", "elsewhere:5000/hello@sha256:x"}},
			[]string{"127.0.0.1:5000/hello@sha256:x"}},
		{"a dangling image", engine.Image{Labels: hello, Tags: []string{"<none>:<none>"}, Digests: []string{"<none>@<none>"}}, nil},
		{"prepare images", engine.Image{Labels: hello, Tags: []string{"hello:prepare-k", "hello:prepare-x", "hello:build-x"}}, []string{"hello:prepare-x", "hello:build-x"}},
		{"names that a person gave", engine.Image{Labels: hello, Tags: []string{"mine:1", "hello:latest", "other:prepare-x", "127.0.0.1:5000/hello:mine"}}, nil},
		{"an image without our label", engine.Image{Tags: []string{"hello:prepare-x", "127.0.0.1:5000/hello:release-1-abc"}}, nil},
		{"copies of foreign images, and names of bases", engine.Image{Tags: []string{"127.0.0.1:5000/lain/foreign/redis:1", "lain.invalid//base:2", "redis:7"}},
			[]string{"127.0.0.1:5000/lain/foreign/redis:1", "lain.invalid//base:2"}},
	} {
		if got := b.spare(c.image, keep); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWhatABuildHoldsStays(t *testing.T) {
	var n needed
	remove := func() error { return nil }
	hold := func() {
		if err := n.hold("base", remove); err != nil {
			t.Fatal(err)
		}
	}
	hold()
	hold()
	n.letGo([]string{"base"})
	n.until["base"] = n.until["base"].Add(-2 * neededAfter)
	if err := n.unless("base", remove); !errors.Is(err, errNeeded) {
		t.Errorf("one build still holds it: %v", err)
	}
	n.letGo([]string{"base"})
	if err := n.unless("base", remove); !errors.Is(err, errNeeded) {
		t.Errorf("its record may be on its way: %v", err)
	}
	n.until["base"] = n.until["base"].Add(-2 * neededAfter)
	if err := n.unless("base", remove); err != nil {
		t.Errorf("nobody needs it: %v", err)
	}
	broken := errors.New("the engine is away")
	if err := n.hold("base", func() error { return broken }); !errors.Is(err, broken) || n.held["base"] != 0 {
		t.Errorf("a name that could not be given is not held: %v, %v", err, n.held)
	}
}
