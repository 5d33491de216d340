//go:build engine

package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	buildkit "github.com/moby/buildkit/client"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
)

// onBoth runs a test on the engine's own BuildKit and on a buildkitd.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("engine", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("buildkitd", func(t *testing.T) {
		w := newWorld(t)
		w.build(BuildKit{Addr: w.buildkitd("cni")})
		test(t, w)
	})
}

// buildkitd starts one inside the node, with that network for its steps, and returns its address.
func (w *world) buildkitd(network string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	conf := map[string]string{
		"buildkitd.toml": fmt.Sprintf("[registry.%q]\n  http = true\n[worker.containerd]\n  enabled = false\n[worker.oci]\n  networkMode = %q\n  cniConfigPath = %q\n  cniBinaryPath = \"/usr/lib/cni\"\n  defaultCgroupParent = %q\n",
			w.host, network, dir+"/cni.conflist", w.labGroup()),
		"cni.conflist": `{"cniVersion": "1.0.0", "name": "lain-build", "plugins": [{"type": "bridge", "bridge": "lain-build0", "isGateway": true, "ipMasq": true,
			"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.211.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "` + dir + `/leases"}}]}`,
	}
	for name, text := range conf {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	binary, err := filepath.Abs("../bin/buildkitd")
	if err != nil {
		w.t.Fatal(err)
	}
	address := "unix://" + dir + "/socket"
	argv := append(strings.Fields(os.Getenv("LAIN_TEST_NODE_EXEC")), "env", "BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1",
		binary, "--addr", address, "--root", dir+"/root", "--config", dir+"/buildkitd.toml")
	cmd := exec.Command(argv[0], argv[1:]...)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		if said, _ := os.ReadFile(log.Name()); w.t.Failed() {
			w.t.Logf("buildkitd:\n%s", said)
		}
	})
	c, err := buildkit.New(w.t.Context(), address)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	ready, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := c.Wait(ready); err != nil {
		w.t.Fatal(err)
	}
	return address
}

// labGroup is a cgroup that goes with the lab.
func (w *world) labGroup() string {
	_, rest, _ := strings.Cut(os.Getenv("LAIN_TEST_NODE_EXEC"), "SWARM_LAB_NAME=")
	name, _, _ := strings.Cut(rest, " ")
	return "/" + name + "/n1/buildkit"
}

// build makes the world's builder anew, with a buildkitd.
func (w *world) build(k BuildKit) {
	w.t.Helper()
	o := w.Builder.options
	o.BuildKit, o.WorkDir = k, w.t.TempDir()
	var err error
	if w.Builder, err = New(o); err != nil {
		w.t.Fatal(err)
	}
}

// Steps in the machine's own network would reach all that listens there.
func TestBuildkitdInItsHostsNetworkIsRefused(t *testing.T) {
	w := newWorld(t)
	w.build(BuildKit{Addr: w.buildkitd("host")})
	j, _ := w.open(w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"true"}}}, nil))
	err := j.Build(t.Context())
	if f := fault.Of(err); f.Kind != fault.Unavailable || !strings.Contains(f.Sentence, "in its machine's own network") {
		t.Errorf("%v", err)
	}
}

func TestBuildkitdThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.build(BuildKit{Addr: "unix:///nowhere/at/all"})
	j, _ := w.open(w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"true"}}}, nil))
	if f := fault.Of(j.Build(t.Context())); f.Kind != fault.Unavailable || !strings.Contains(f.Sentence, "buildkitd") {
		t.Errorf("%+v", f)
	}
}

// An empty buildkitd finds in the registry what another one has built, and what it pushes says where it comes from.
func TestBuildkitdSharesItsCache(t *testing.T) {
	w := newWorld(t)
	w.build(BuildKit{Addr: w.buildkitd("cni")})
	r := w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"cat /proc/sys/kernel/random/uuid > made"}}, Release: &manifest.Release{DestBase: w.base,
		Copy: []manifest.Copy{{Src: "made", Dest: "/made"}}}}, map[string]string{"main": "1"})
	first := w.released(r)
	if kinds := w.attested(first); kinds != "https://slsa.dev/provenance/v1" && kinds != "https://slsa.dev/provenance/v0.2" {
		t.Errorf("the image is attested by %q", kinds)
	}
	kept, err := w.InRegistry(t.Context(), Keep{Images: map[lain.ImageRef]bool{first: true}})
	if err != nil || len(kept) != 2 {
		t.Errorf("kept are %v, %v, want the image and the cache", kept, err)
	}
	w.build(BuildKit{Addr: w.buildkitd("cni")})
	second := w.released(r)
	if a, b := w.files(w.pulled(first))["made"], w.files(w.pulled(second))["made"]; a == "" || a != b {
		t.Errorf("it was built again: %q, then %q", a, b)
	}
}

// released builds and pushes.
func (w *world) released(r Request) lain.ImageRef {
	w.t.Helper()
	j, _ := w.open(r)
	w.timed("release", j.Release)
	ref, err := j.Push(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return ref
}

// imageDigest is that of an image itself, without the index that its provenance makes necessary, and which has a time.
func (w *world) imageDigest(ref lain.ImageRef) string {
	w.t.Helper()
	digest, err := w.pulled(ref).Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

// attested is the kind of statement that lies beside an image in its index.
func (w *world) attested(ref lain.ImageRef) (kind string) {
	w.t.Helper()
	digest, err := name.NewDigest(ref.On(w.host), name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.registry.Credential()
	index, err := remote.Index(digest, remote.WithAuth(&authn.Basic{Username: c.Username, Password: c.Password}))
	if err != nil {
		w.t.Fatal(err)
	}
	manifests, err := index.IndexManifest()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range manifests.Manifests {
		if m.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
			continue
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			w.t.Fatal(err)
		}
		layers, err := image.Manifest()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, l := range layers.Layers {
			kind += l.Annotations["in-toto.io/predicate-type"]
		}
	}
	return kind
}

// Both back ends give an image the same config and the same files.
func TestBothBackEndsMakeTheSame(t *testing.T) {
	w := newWorld(t)
	r := w.request(whole(), map[string]string{"src/main": "hi\n", "go.sum": "1\n"})
	same := func() (string, map[string]string) {
		image := w.pulled(w.released(r))
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"config": config.Config, "os": config.OS, "arch": config.Architecture, "created": config.Created})
		if err != nil {
			t.Fatal(err)
		}
		return string(text), w.files(image)
	}
	config, files := same()
	w.build(BuildKit{Addr: w.buildkitd("cni")})
	config2, files2 := same()
	if config != config2 {
		t.Errorf("config\n%s\n%s", config, config2)
	}
	if fmt.Sprint(files) != fmt.Sprint(files2) || len(files) != 3 {
		t.Errorf("files\n%v\n%v", files, files2)
	}
}

// Images that nodes pulled by digest go as well.
func TestCleanTakesPulledImages(t *testing.T) {
	w := newWorld(t)
	w.build(BuildKit{Addr: w.buildkitd("cni")})
	r := w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"true"}}}, map[string]string{"main": "1"})
	ref := w.released(r)
	if err := w.engine.Pull(t.Context(), ref.On(w.host), w.Builder.options.RegistryAuth); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		if _, err := w.Clean(t.Context(), Keep{Images: map[lain.ImageRef]bool{ref: keep}, Tagged: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.engine.ImageConfig(t.Context(), ref.On(w.host)); errors.Is(err, engine.ErrNoImage) == keep {
			t.Errorf("kept: %v; then %v", keep, err)
		}
	}
}

// A build image that a buildkitd made is in this engine.
func TestBuildkitdMakesABuildImage(t *testing.T) {
	w := newWorld(t)
	w.build(BuildKit{Addr: w.buildkitd("cni")})
	j, _ := w.open(w.request(manifest.Manifest{Build: manifest.Build{Script: []string{"echo made > made"}}}, map[string]string{"main": "1"}))
	for range 2 {
		id, err := j.BuildImage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.file(id, "/lain/app/made"); err != nil || got != "made\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
}
