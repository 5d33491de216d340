package rollout

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

func around() surroundings {
	return surroundings{
		name:          "lab_hello_web",
		labels:        map[string]string{engine.ClusterLabel: "lab", engine.AppLabel: "hello", engine.ProcLabel: "web"},
		image:         "127.0.0.1:5000/hello@sha256:" + strings.Repeat("1", 64),
		argv:          []string{"/app", "serve"},
		network:       "net1",
		helper:        "/var/lib/lain/helper",
		domain:        "lain.test",
		nodeCPUs:      4e9,
		probeInterval: 5 * time.Second,
	}
}

func TestServiceSpecGolden(t *testing.T) {
	cases := map[string]lain.ProcWant{
		"web": wish(func(p *lain.ProcSpec) {
			p.HealthPath, p.CPULevel, p.MemoryBytes, p.SetupTime = "/health?deep=1", 4, 128<<20, 10*time.Second
			p.Env = []string{"A=1", "B={{.Node.ID}}", "PORT=1", "C=x=y", "A=2"}
			p.User, p.Workdir, p.KillTimeout = "1000", "/srv", 30*time.Second
		}),
		"tcp":    wish(),
		"worker": wish(worker),
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(serviceSpec(want, around(), noon), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "spec-"+name+".json"), string(got)+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, d)
	}
}

// What is not of the containers must not restart them; what is, must.
func TestSpecLabelChangesWithTheContainerOnly(t *testing.T) {
	label := func(w lain.ProcWant, s surroundings, at time.Time) string {
		return specOf(serviceSpec(w, s, at).TaskTemplate)
	}
	base := label(wish(), around(), noon)
	later := wish(instances(9))
	later.Attempt = 99
	if label(later, around(), after(time.Hour)) != base {
		t.Error("another attempt, time or number of instances restarts containers")
	}
	kept := wish(func(p *lain.ProcSpec) { p.Since = wish().Release })
	kept.Release = 8
	if label(kept, around(), noon) != base {
		t.Error("a release that changes nothing of the proc restarts its containers")
	}
	other := wish()
	other.Release = 8
	image := around()
	image.image = "127.0.0.1:5000/hello@sha256:" + strings.Repeat("2", 64)
	port := wish(func(p *lain.ProcSpec) { p.Port = 9090 })
	for name, got := range map[string]string{"release": label(other, around(), noon), "image": label(wish(), image, noon), "port": label(port, around(), noon)} {
		if got == base {
			t.Errorf("another %s restarts nothing", name)
		}
	}
}

func TestCommand(t *testing.T) {
	image := engine.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}}
	cases := map[string]struct {
		entrypoint, cmd []string
		image           engine.ImageConfig
		want            []string
	}{
		"the image's":                          {image: image, want: []string{"/entry", "serve"}},
		"its own command":                      {cmd: []string{"work"}, image: image, want: []string{"/entry", "work"}},
		"its own entrypoint drops the command": {entrypoint: []string{"/mine"}, image: image, want: []string{"/mine"}},
		"both its own":                         {entrypoint: []string{"/mine"}, cmd: []string{"work"}, image: image, want: []string{"/mine", "work"}},
		"no arguments on purpose":              {cmd: []string{}, image: image, want: []string{"/entry"}},
		"only a command in the image":          {image: engine.ImageConfig{Cmd: []string{"sh"}}, want: []string{"sh"}},
		"nothing at all":                       {},
	}
	for name, c := range cases {
		if got := command(lain.ProcSpec{Entrypoint: c.entrypoint, Cmd: c.cmd}, c.image); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
