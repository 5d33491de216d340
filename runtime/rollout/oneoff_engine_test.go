//go:build engine

package rollout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// ownImage leaves a wish the image that it has.
func ownImage(context.Context) (string, error) { return "", nil }

// oneOff makes a one-off container like a wish.
func (b *bench) oneOff(like lain.ProcWant) (task string, end func()) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	task, end, err := b.controller.OneOff(ctx, like, ownImage)
	ok(b.t, err)
	return task, end
}

// oneOffs are the services of one-off containers that the engine has, and how many networks.
func (b *bench) oneOffs() (services []swarm.Service, networks int) {
	b.t.Helper()
	services, err := b.engine.OneOffs(b.t.Context(), "")
	ok(b.t, err)
	apps, err := b.engine.Networks(b.t.Context())
	ok(b.t, err)
	return services, len(apps)
}

// says runs the test's app in a container, which has nothing else.
func (b *bench) says(task string) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	code, err := b.engine.Enter(b.t.Context(), engine.Entry{Task: task, Argv: []string{"/app"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	if err != nil || code != 0 {
		b.t.Fatalf("exit %d, %v\n%s%s", code, err, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// A one-off container is like the proc, beside it, and no part of it.
func TestEngine_OneOff(t *testing.T) {
	b := start(t)
	b.wish(3, "ok")
	b.serves()
	like := lain.ProcWant{App: b.app, Release: 3, Spec: lain.ProcSpec{Name: "web", Type: lain.Web, Image: b.image, Port: 8080,
		MemoryBytes: 64 << 20, Env: []string{"MODE=done", "SAY=as in lain.yaml"}}}
	task, end := b.oneOff(like)
	for _, want := range []string{`app v3 in mode "done"`, "as in lain.yaml", "HOSTNAME=run"} {
		if said := b.says(task); !strings.Contains(said, want) {
			t.Errorf("no %q in %q", want, said)
		}
	}
	b.says(task) // it is still there
	services, err := b.engine.Services(t.Context(), b.app)
	ok(t, err)
	tasks, err := b.engine.Tasks(t.Context(), b.app, "")
	ok(t, err)
	if len(services) != 1 || len(tasks) != 2 {
		t.Errorf("%d services and %d tasks are taken for those of procs", len(services), len(tasks))
	}
	if list, _ := b.oneOffs(); len(list) != 1 {
		t.Errorf("%d one-off containers", len(list))
	}
	end()
	if list, _ := b.oneOffs(); len(list) != 0 {
		t.Errorf("%d one-off containers after the end", len(list))
	}
	b.until("its container is gone", patience, func() bool {
		_, err := b.engine.Enter(t.Context(), engine.Entry{Task: task, Argv: []string{"/app"}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
		return errors.Is(err, engine.ErrNotFound)
	})
	b.serves()
}

// It can be of an image that is in this engine alone, with the proc's environment and that image's user and directory.
func TestEngine_OneOffOfAnotherImage(t *testing.T) {
	b := start(t)
	like := b.wish(1, "ok")
	b.serves()
	like.Spec.Env, like.Spec.User, like.Spec.Workdir = []string{"MODE=done", "SAY=as in lain.yaml"}, "1000", "/srv"
	task, end, err := b.controller.OneOff(t.Context(), like, func(ctx context.Context) (string, error) {
		config, err := b.engine.ImageConfig(ctx, like.Spec.Image.On(b.host))
		return config.ID, err
	})
	ok(t, err)
	defer end()
	if said := b.says(task); !strings.Contains(said, "as in lain.yaml") {
		t.Errorf("it says %q", said)
	}
	services, _ := b.oneOffs()
	if len(services) != 1 {
		t.Fatalf("%d one-off containers", len(services))
	}
	c := services[0].Spec.TaskTemplate.ContainerSpec
	if !strings.HasPrefix(c.Image, "sha256:") || c.User != "" || c.Dir != "" {
		t.Errorf("image %s, user %q, directory %q", c.Image, c.User, c.Dir)
	}
}

// What makes the image ends with the application, and is waited for.
func TestEngine_OneOffWhoseImageIsMadeWhileItsAppIsDestroyed(t *testing.T) {
	b := start(t)
	making, made := make(chan struct{}), false
	ended := make(chan error, 1)
	go func() {
		_, _, err := b.controller.OneOff(t.Context(), lain.ProcWant{App: b.app}, func(ctx context.Context) (string, error) {
			close(making)
			<-ctx.Done()
			for range 50 { // putting away what it has takes longer than one look at the engine
				if _, err := b.engine.OneOffTasks(t.Context(), b.app); err != nil {
					return "", err
				}
			}
			made = true
			return "", context.Cause(ctx)
		})
		ended <- err
	}()
	<-making
	defer b.controller.CloseOneOffs(b.app)()
	ok(t, b.controller.EndOneOffs(t.Context(), b.app))
	if !made {
		t.Error("the application went first")
	}
	if err := <-ended; fault.Of(err).Kind != fault.Conflict || !strings.Contains(err.Error(), "is being destroyed") {
		t.Error(err)
	}
}

// A mistake of ours in the making leaves nothing that destroy would wait for.
func TestEngine_OneOffWhoseImagePanics(t *testing.T) {
	b := start(t)
	func() {
		defer func() { _ = recover() }()
		_, _, _ = b.controller.OneOff(t.Context(), lain.ProcWant{App: b.app}, func(context.Context) (string, error) { panic("ours") })
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ok(t, b.controller.EndOneOffs(ctx, b.app))
}

// What a controller leaves behind, the next one clears away, and nothing else.
func TestEngine_OneOffLeftBehind(t *testing.T) {
	b := start(t)
	like := b.wish(1, "ok")
	b.serves()
	b.oneOff(like)
	b.stop()
	if list, _ := b.oneOffs(); len(list) != 1 {
		t.Fatalf("%d one-off containers are left", len(list))
	}
	b.run()
	b.until("it is cleared away", patience, func() bool { list, _ := b.oneOffs(); return len(list) == 0 })
	task, end := b.oneOff(like)
	defer end()
	ok(t, b.controller.removeOneOffs(t.Context(), "", b.controller.isKept))
	if list, _ := b.oneOffs(); len(list) != 1 {
		t.Errorf("one that somebody is in is gone: %s", task)
	}
	b.serves()
}

// With its application a one-off container goes, whoever is in it.
func TestEngine_OneOffOfAnAppThatGoes(t *testing.T) {
	b := start(t)
	like := b.wish(1, "ok")
	b.serves()
	_, end := b.oneOff(like)
	defer end()
	_, err := b.wants.Delete(t.Context(), like.Key())
	ok(t, err)
	b.until("nothing is left", patience, func() bool {
		list, networks := b.oneOffs()
		return len(list) == 0 && networks == 0
	})
}

// One that is being made while its application is destroyed is not made, and none is after that.
func TestEngine_OneOffWhileItsAppIsDestroyed(t *testing.T) {
	b := start(t)
	like := b.wish(1, "ok")
	b.serves()
	ended := make(chan error, 3)
	for range 3 {
		go func() {
			_, end, err := b.controller.OneOff(t.Context(), like, ownImage)
			if err == nil {
				t.Cleanup(end) // nobody waits for its person
			}
			ended <- err
		}()
	}
	b.until("one is there", patience, func() bool { list, _ := b.oneOffs(); return len(list) > 0 })
	reopen := b.controller.CloseOneOffs(b.app)
	_, err := b.wants.Delete(t.Context(), like.Key())
	ok(t, err)
	ok(t, b.controller.EndOneOffs(t.Context(), b.app))
	if tasks, err := b.engine.OneOffTasks(t.Context(), b.app); err != nil || len(tasks) > 0 {
		t.Errorf("%d tasks are left, %v", len(tasks), err)
	}
	for range 3 {
		if err := <-ended; err != nil && !strings.Contains(err.Error(), "hello is being destroyed") {
			t.Error(err)
		}
	}
	b.until("the network is gone", patience, func() bool { _, networks := b.oneOffs(); return networks == 0 })
	if _, _, err := b.controller.OneOff(t.Context(), like, ownImage); err == nil || !strings.Contains(err.Error(), "hello is being destroyed") {
		t.Errorf("one is made afterwards: %v", err)
	}
	reopen()
	like.Spec.Image.Digest = "sha256:" + strings.Repeat("0", 64)
	if _, _, err := b.controller.OneOff(t.Context(), like, ownImage); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("it is still refused: %v", err)
	}
}

// One that can't be had leaves nothing.
func TestEngine_OneOffThatDoesNotStart(t *testing.T) {
	b := start(t)
	like := b.wish(1, "ok")
	b.serves()
	bad := like
	bad.Spec.User = "nobody-of-this-name"
	missing := like
	missing.Spec.Image.Digest = "sha256:" + strings.Repeat("0", 64)
	for what, like := range map[string]lain.ProcWant{"does not start": bad, "cannot be read": missing} {
		_, _, err := b.controller.OneOff(t.Context(), like, ownImage)
		if err == nil || !strings.Contains(err.Error(), what) || fault.Of(err).Kind != fault.Unavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := b.controller.OneOff(soon, like, ownImage); err == nil {
		t.Error("it is there although its person left at once")
	}
	b.until("nothing is left of them", patience, func() bool { list, _ := b.oneOffs(); return len(list) == 0 })
}
