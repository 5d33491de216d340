//go:build engine

package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// once wishes for a oneshot.
func (b *bench) once(release int, mode string, change ...func(*lain.ProcSpec)) lain.ProcWant {
	b.t.Helper()
	b.attempt++
	p := lain.ProcSpec{Name: "migrate", Type: lain.Oneshot, Image: b.image, Instances: 1, MemoryBytes: 64 << 20,
		KillTimeout: 2 * time.Second, Env: []string{"MODE=" + mode}}
	for _, f := range change {
		f(&p)
	}
	w := lain.ProcWant{App: b.app, Release: release, Commit: lain.Commit(strings.Repeat("a", 40)), Spec: p, Attempt: b.attempt}
	_, err := b.wants.Put(b.t.Context(), w.Key(), w)
	ok(b.t, err)
	return w
}

func (b *bench) onceSeen() lain.ProcSeen {
	item, err := b.seen.Get(b.t.Context(), lain.OneshotKey(b.app, "migrate"))
	if err != nil || item.Value.Attempt != b.attempt {
		return lain.ProcSeen{}
	}
	return item.Value
}

func (b *bench) onceVerdict() lain.ProcSeen {
	b.t.Helper()
	b.until("a verdict on the oneshot", 90*time.Second, func() bool {
		s := b.onceSeen().State
		return s != "" && s != lain.SeenRolling
	})
	return b.onceSeen()
}

// onceRuns waits until the oneshot's container is up and returns its task.
func (b *bench) onceRuns() string {
	b.t.Helper()
	b.until("the oneshot runs", 60*time.Second, func() bool {
		i := b.onceSeen().Instances
		return len(i) == 1 && i[0].State == "running"
	})
	return b.onceSeen().Instances[0].Task
}

// onceTasks are all that the engine has of the oneshot.
func (b *bench) onceTasks() (ids []string) {
	list, err := b.engine.Tasks(context.Background(), b.app, "migrate")
	ok(b.t, err)
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	return ids
}

func (b *bench) lines(task string) (lines []string) {
	b.t.Helper()
	ok(b.t, b.engine.TaskLines(b.t.Context(), task, time.Time{}, false, func(l engine.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	}))
	return lines
}

func (b *bench) dropOnce() {
	b.t.Helper()
	_, err := b.wants.Delete(b.t.Context(), lain.OneshotKey(b.app, "migrate"))
	ok(b.t, err)
	b.until("the oneshot is gone", 30*time.Second, func() bool {
		_, err := b.seen.Get(b.t.Context(), lain.OneshotKey(b.app, "migrate"))
		return err != nil && len(b.onceTasks()) == 0
	})
}

func TestEngine_OneshotEnds(t *testing.T) {
	b := start(t)
	b.once(7, "done", func(p *lain.ProcSpec) { p.Env = append(p.Env, "SAY=hello from v7") })
	s := b.onceVerdict()
	if s.State != lain.SeenServing || len(s.Instances) != 1 || s.Instances[0].Release != 7 || s.Begun.IsZero() {
		t.Fatalf("%+v %+v", s, s.Failure)
	}
	lines := b.lines(s.Instances[0].Task)
	for _, want := range []string{`app v7 in mode "done"`, "hello from v7", "LAIN_INSTANCE_NO=1", "HOSTNAME=migrate-1"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	b.dropOnce()
	b.once(8, "done") // the next release's
	if s := b.onceVerdict(); s.State != lain.SeenServing || s.Release != 8 {
		t.Errorf("%+v", s)
	}
}

func TestEngine_OneshotFails(t *testing.T) {
	b := start(t)
	for i, c := range []struct {
		mode  string
		check func(lain.Failure) bool
	}{
		{"exit", func(f lain.Failure) bool {
			return f.Sentence == "migrate ended with exit code 3" && *f.ExitCode == 3 && slices.Contains(f.LogTail, "cannot find my database")
		}},
		{"oom", func(f lain.Failure) bool { return f.OOM && strings.HasPrefix(f.Hint, "memory:") }},
	} {
		b.once(i+1, c.mode)
		s := b.onceVerdict()
		if s.State != lain.SeenFailed || s.Failure == nil || !c.check(*s.Failure) {
			t.Errorf("%s: %s %s %+v", c.mode, s.State, s.Reason, s.Failure)
		}
		end := time.Now().Add(4 * time.Second) // the engine's own restarts come after a delay of five seconds at most
		b.until("time has passed", 10*time.Second, func() bool { return time.Now().After(end) })
		if tasks := b.onceTasks(); len(tasks) != 1 {
			t.Errorf("%s: it ran more than once: %v", c.mode, tasks)
		}
		b.dropOnce()
	}
}

// Whatever happens to controller and wish while a oneshot runs, it is one container; what it runs beside is left
// alone, even a proc of its name; and with its wish it is stopped.
func TestEngine_OneshotRunsOnceAndIsStopped(t *testing.T) {
	b := start(t)
	b.wish(1, "idle", func(p *lain.ProcSpec) {
		p.Name, p.Type, p.Port, p.HealthPath, p.Instances = "migrate", lain.Worker, 0, "", 1
	})
	b.until("the worker serves", 60*time.Second, func() bool {
		item, err := b.seen.Get(t.Context(), "hello/migrate")
		return err == nil && item.Value.State == lain.SeenServing
	})
	worker := b.onceTasks()
	want := b.once(2, "idle")
	task := b.onceRuns()
	ctx, cancel := context.WithCancel(t.Context())
	said, followed := make(chan string, 100), make(chan error, 1)
	go func() {
		followed <- b.engine.TaskLines(ctx, task, time.Time{}, true, func(l engine.LogLine) error { said <- l.Text; return nil })
	}()
	if line := <-said; line != `app v2 in mode "idle"` {
		t.Errorf("it said %q", line)
	}
	b.stop()
	b.run()
	_, err := b.wants.Put(t.Context(), want.Key(), want) // a look at it, and the same wish
	ok(t, err)
	end := time.Now().Add(3 * time.Second)
	b.until("time has passed", 10*time.Second, func() bool { return time.Now().After(end) })
	if tasks := b.onceTasks(); len(tasks) != 2 || !slices.Contains(tasks, task) {
		t.Errorf("%v became %v", []string{worker[0], task}, tasks)
	}
	if s := b.onceSeen(); s.State != lain.SeenRolling {
		t.Errorf("%+v", s)
	}
	_, err = b.wants.Delete(t.Context(), want.Key())
	ok(t, err)
	b.until("it is stopped", 20*time.Second, func() bool { return slices.Equal(b.onceTasks(), worker) })
	if line := <-said; line != "told to stop" {
		t.Errorf("its last words: %q", line)
	}
	cancel()
	ok(t, <-followed)
	if _, err := b.engine.Service(t.Context(), "hello", "migrate"); err != nil {
		t.Errorf("the worker of its name: %v", err)
	}
}

// A oneshot that vanished from the engine is given up, and never begun again.
func TestEngine_OneshotRemovedByHand(t *testing.T) {
	b := start(t)
	b.once(1, "idle")
	b.onceRuns()
	s, err := b.engine.Oneshot(t.Context(), "hello", "migrate")
	ok(t, err)
	ok(t, b.engine.RemoveService(t.Context(), s))
	seen := b.onceVerdict()
	if seen.State != lain.SeenFailed || !strings.Contains(seen.Reason, "what became of migrate is not known") {
		t.Errorf("%s: %s", seen.State, seen.Reason)
	}
	b.until("its container is gone", 20*time.Second, func() bool { return len(b.onceTasks()) == 0 })
	b.stop()
	b.run()
	end := time.Now().Add(3 * time.Second)
	b.until("time has passed", 10*time.Second, func() bool { return time.Now().After(end) })
	if tasks := b.onceTasks(); len(tasks) != 0 {
		t.Errorf("it was begun again: %v", tasks)
	}
}

// The engine refuses it for certain: it was not begun, and the verdict says why.
func TestEngine_OneshotThatCanNotStart(t *testing.T) {
	b := start(t)
	b.once(1, "done", func(p *lain.ProcSpec) { p.Image.Digest = "sha256:" + strings.Repeat("0", 64) })
	s := b.onceVerdict()
	if s.State != lain.SeenFailed || !strings.HasPrefix(s.Reason, "the image of migrate cannot be pulled") || !s.Begun.IsZero() {
		t.Errorf("%s: %s (begun %v)", s.State, s.Reason, s.Begun)
	}
	b.dropOnce()
	b.once(2, "done", func(p *lain.ProcSpec) { p.MemoryBytes = 1 })
	s = b.onceVerdict()
	if s.State != lain.SeenFailed || !strings.Contains(s.Reason, "does not start migrate") || !s.Begun.IsZero() {
		t.Errorf("%s: %s (begun %v)", s.State, s.Reason, fmt.Sprint(s.Begun))
	}
}
