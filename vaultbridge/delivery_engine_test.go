//go:build engine

package vaultbridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// site is a real vault and a real engine, and what an application of busybox needs on it.
type site struct {
	*world
	engine  *engine.Engine
	bridge  *Bridge
	courier *Courier
	host    string
	image   string
	helper  string
}

func newSite(t *testing.T) *site {
	t.Helper()
	host := os.Getenv("LAIN_TEST_DOCKER_HOST")
	if host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST must name an engine of the lab")
	}
	cluster := lain.Cluster(fmt.Sprintf("v%d", time.Now().UnixNano()%1e12))
	e, err := engine.Open(t.Context(), host, cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	s := &site{world: newWorld(t), engine: e, host: host}
	s.bridge = s.world.bridge(func(o *Options) { o.Cluster = cluster })
	s.courier = NewCourier(s.bridge, e)
	s.image = fmt.Sprintf("127.0.0.1:1/%s:1", cluster) // no registry is there, so that nobody waits for one
	s.buildHelper()
	s.importImage()
	t.Cleanup(s.clear)
	return s
}

func (s *site) buildHelper() {
	s.helper = filepath.Join(s.dir, "helper")
	build := exec.Command("go", "build", "-o", s.helper, "lain.internal/lain/cmd/lain-helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// importImage makes an image of this machine's busybox.
func (s *site) importImage() {
	archive, err := exec.Command("tar", "-C", "/", "-c", "bin/busybox").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	s.docker(archive, "import", "-", s.image)
}

func (s *site) docker(stdin []byte, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("docker", append([]string{"-H", s.host}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, problem.String())
	}
	return string(out)
}

func (s *site) clear() {
	ctx := context.Background()
	services, err := s.engine.Services(ctx, "")
	if err != nil {
		s.t.Error(err)
	}
	for _, svc := range services {
		if err := s.engine.RemoveService(ctx, svc); err != nil {
			s.t.Error(err)
		}
	}
	s.eventually("the secrets are gone", func() bool {
		secrets, err := s.engine.Secrets(ctx, "")
		for _, secret := range secrets {
			err = errors.Join(err, s.engine.RemoveSecret(ctx, secret))
		}
		return err == nil
	})
}

// serve runs a proc as user 1000 with what was delivered to it, on a read-only root, and returns the id of its
// container.
func (s *site) serve(app lain.AppName, p lain.ProcSpec, argv ...string) string {
	s.t.Helper()
	ids, err := s.engine.SecretIDs(s.t.Context(), app)
	if err != nil {
		s.t.Fatal(err)
	}
	refs, err := engine.SecretReferences(p, ids)
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"run", "--"}
	if p.Config != nil {
		args = []string{"run", "--config", string(lain.ConfigPath), "--"}
	}
	one := uint64(1)
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: s.engine.ServiceName(app, p.Name), Labels: s.engine.Labels(app, p.Name)},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{
			Image: s.image, Labels: s.engine.Labels(app, p.Name), Command: []string{"/lain/helper"}, Args: append(args, argv...),
			User: "1000", Env: []string{"FROM_YAML=yaml", "BOTH=yaml", "PORT=8080"}, ReadOnly: true, Secrets: refs,
			Mounts: []mount.Mount{{Type: mount.TypeBind, Source: s.helper, Target: "/lain/helper", ReadOnly: true}},
		}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &one}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	if err := s.engine.CreateService(s.t.Context(), spec, ""); err != nil {
		s.t.Fatal(err)
	}
	return s.running(app, p.Name)
}

func (s *site) running(app lain.AppName, proc lain.ProcName) (id string) {
	s.t.Helper()
	s.eventually("its container runs", func() bool {
		tasks, err := s.engine.Tasks(s.t.Context(), app, proc)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, task := range tasks {
			if task.Status.State == swarm.TaskStateRunning {
				id = task.Status.ContainerStatus.ContainerID
			} else if task.Status.Err != "" {
				s.t.Fatalf("%s: %s", task.Status.State, task.Status.Err)
			}
		}
		return id != ""
	})
	return id
}

func (s *site) in(container string, argv ...string) string {
	s.t.Helper()
	return s.docker(nil, append([]string{"exec", container, "/bin/busybox"}, argv...)...)
}

// planted are values that must be in the container and nowhere else.
var planted = []string{"planted-file-value", "planted-config-value"}

func TestEngineDelivery(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	for path, f := range map[lain.SecretPath]File{
		"/etc/deep/er/key": {Value: []byte(planted[0] + "\x00\xff"), UID: 1000, GID: 50, Mode: 0o440},
		"/lain/app/empty":  {UID: 1000, GID: 1000},
		"/of root's":       {Value: []byte("nobody else's")},
	} {
		if _, err := s.bridge.PutFile(ctx, file("hello", lain.EveryProc, path), f, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	set(t, s.bridge, "hello", "CONFIG", planted[1], "BOTH", "config", "LINES", "a\nb")
	declared := needs("/etc/deep/er/key", "/lain/app/empty", "/of root's")
	d, err := s.courier.Deliver(ctx, "hello", declared)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.courier.Deliver(ctx, "hello", declared)
	if err != nil || fmt.Sprint(again.Secrets) != fmt.Sprint(d.Secrets) {
		t.Errorf("the second time: %+v %v", again, err)
	}
	if list, err := s.engine.Secrets(ctx, "hello"); err != nil || len(list) != 4 {
		t.Errorf("%d secrets: %v", len(list), err)
	}
	id := s.serve("hello", lain.ProcSpec{Name: "web", Secrets: d.Secrets["web"], Config: d.Config}, "/bin/busybox", "sleep", "1000")

	for path, want := range map[string]string{"/etc/deep/er/key": "440 1000 50 20 regular file", "/lain/app/empty": "400 1000 1000 0 regular empty file", "/of root's": "400 0 0 13 regular file"} {
		if got := strings.TrimSpace(s.in(id, "stat", "-c", "%a %u %g %s %F", path)); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
		if mounts := s.in(id, "cat", "/proc/mounts"); !strings.Contains(mounts, "tmpfs "+strings.ReplaceAll(path, " ", `\040`)+" tmpfs ro") {
			t.Errorf("%s is not in memory, or can be written:\n%s", path, mounts)
		}
	}
	if got := s.in(id, "cat", "/etc/deep/er/key"); got != planted[0]+"\x00\xff" {
		t.Errorf("the file holds %q", got)
	}
	env := strings.Split(s.in(id, "cat", "/proc/1/environ"), "\x00")
	for _, want := range []string{"CONFIG=" + planted[1], "BOTH=config", "FROM_YAML=yaml", "LINES=a\nb", "PORT=8080"} {
		if !slices.Contains(env, want) {
			t.Errorf("%q is not in the environment %q", want, env)
		}
	}
	s.shownNowhere(id)
	s.collects(d)
}

// shownNowhere looks into all that the engine shows and into the arguments of every process.
func (s *site) shownNowhere(container string) {
	shown := map[string]string{
		"container": s.docker(nil, "inspect", container),
		"service":   s.docker(nil, "service", "inspect", s.engine.ServiceName("hello", "web")),
		"arguments": s.in(container, "cat", "/proc/1/cmdline"),
		"logs":      s.docker(nil, "logs", container),
	}
	for _, id := range strings.Fields(s.docker(nil, "service", "ps", "-q", "--no-trunc", s.engine.ServiceName("hello", "web"))) {
		shown["task "+id] = s.docker(nil, "inspect", "--type", "task", id)
	}
	for _, id := range strings.Fields(s.docker(nil, "secret", "ls", "-q")) {
		shown["secret "+id] = s.docker(nil, "secret", "inspect", id)
	}
	if len(shown) < 9 {
		s.t.Errorf("only %d things were looked at", len(shown))
	}
	for what, text := range shown {
		for _, value := range planted {
			if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))[:20]) {
				s.t.Errorf("%s shows %s", what, value)
			}
		}
	}
}

func (s *site) collects(d Delivery) {
	s.t.Helper()
	ctx, later := s.t.Context(), time.Now().Add(2*Grace)
	if removed, err := s.courier.Collect(ctx, nil, later); err != nil || len(removed) != 0 {
		s.t.Errorf("what a service uses was collected: %v %v", removed, err)
	}
	web, err := s.engine.Service(ctx, "hello", "web")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.engine.RemoveService(ctx, web); err != nil {
		s.t.Fatal(err)
	}
	kept := d.Secrets["web"][0].Secret
	removed, err := s.courier.Collect(ctx, map[string]bool{kept: true}, later)
	if err != nil || len(removed) != 3 || slices.Contains(removed, kept) {
		s.t.Errorf("removed %v: %v", removed, err)
	}
}

// The largest value goes the whole way.
func TestEngineDelivery_Largest(t *testing.T) {
	s := newSite(t)
	put(t, s.bridge, file("hello", "web", "/large"), strings.Repeat("x", MaxFile))
	d, err := s.courier.Deliver(t.Context(), "hello", needs("/large"))
	if err != nil {
		t.Fatal(err)
	}
	p := lain.ProcSpec{Name: "web", Secrets: d.Secrets["web"]}
	p.Secrets[0].UID = 1000
	id := s.serve("hello", p, "/bin/busybox", "sleep", "1000")
	if got := strings.Fields(s.in(id, "wc", "-c", "/large")); got[0] != fmt.Sprint(MaxFile) {
		t.Errorf("it has %v bytes", got)
	}
}
