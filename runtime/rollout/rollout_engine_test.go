//go:build engine

package rollout

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestEngine_ServesUpdatesScalesAndGoesAway(t *testing.T) {
	b := start(t)
	b.wish(1, "ok", func(p *lain.ProcSpec) { p.Env = append(p.Env, "BRACES={{.Node.ID}}", "PORT=1") })
	s := b.serves()
	first := b.addresses()
	if len(first) != 2 || len(s.Instances) != 2 {
		t.Fatalf("endpoints %v, instances %+v", first, s.Instances)
	}
	env := get(t, first[0], "/env")
	for _, line := range []string{"BRACES={{.Node.ID}}", "PORT=8080", "LAIN_RELEASE=v1", "LAIN_DOMAIN=lain.test", "HOSTNAME=web-"} {
		if !strings.Contains(env, line) {
			t.Errorf("no %s in\n%s", line, env)
		}
	}

	b.stop() // a restart of the server rolls nothing
	before := b.tasks()
	b.run()
	b.wish(1, "ok", func(p *lain.ProcSpec) {
		p.Env = append(p.Env, "BRACES={{.Node.ID}}", "PORT=1")
		p.Instances = 3
	})
	b.serves()
	if after := b.tasks(); len(after) != 3 || !contains(after, before) {
		t.Errorf("more instances: %v became %v", before, after)
	}

	b.wish(2, "ok")
	b.serves()
	if got := get(t, b.addresses()[0], "/"); !strings.HasPrefix(got, "v2 ") {
		t.Errorf("after the update: %q", got)
	}
	b.until("old endpoints are gone", patience, func() bool { return len(b.addresses()) == 2 })

	begin := time.Now()
	_, err := b.wants.Delete(t.Context(), "hello/web")
	ok(t, err)
	b.until("endpoints gone", patience, func() bool { return b.addresses() == nil })
	b.until("record gone", patience, func() bool {
		_, err := b.seen.Get(t.Context(), "hello/web")
		return err != nil
	})
	t.Logf("deleted after %s", time.Since(begin))
}

// tasks are the ids of those that are wanted.
func (b *bench) tasks() []string {
	list, err := b.engine.Tasks(context.Background(), b.app, "web")
	ok(b.t, err)
	var ids []string
	for _, t := range list {
		if wanted(t) {
			ids = append(ids, t.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func contains(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

func TestEngine_FailuresKeepTheOldAndSayWhy(t *testing.T) {
	b := start(t)
	good := b.wish(1, "ok")
	b.serves()
	before := b.tasks()
	cases := []struct {
		mode  string
		check func(lain.Failure) bool
	}{
		{"deaf", func(f lain.Failure) bool {
			return f.Sentence == "web is not healthy after 8s" && strings.HasPrefix(f.Hint, "port:") && strings.Contains(f.LastProbe, "refused")
		}},
		{"sick", func(f lain.Failure) bool { return strings.Contains(f.LastProbe, "500") }},
		{"exit", func(f lain.Failure) bool {
			return f.ExitCode != nil && *f.ExitCode == 3 && slices.Contains(f.LogTail, "cannot find my database")
		}},
		{"oom", func(f lain.Failure) bool { return f.OOM && strings.HasPrefix(f.Hint, "memory:") }},
	}
	g := b.guard()
	for i, c := range cases { // without a return between: the controller itself must not let them harm one another
		b.wish(i+2, c.mode, func(p *lain.ProcSpec) {
			if c.mode == "deaf" || c.mode == "sick" {
				p.Deadline = 8 * time.Second
			}
		})
		if f := b.fails(); !c.check(f) {
			t.Errorf("%s: %+v", c.mode, f)
		}
		if !contains(b.tasks(), before) || len(b.addresses()) != 2 {
			t.Errorf("%s: v1 lost instances: %v of %v, endpoints %v", c.mode, b.tasks(), before, b.addresses())
		}
	}
	b.attempt++
	good.Attempt = b.attempt // the return
	_, err := b.wants.Put(t.Context(), "hello/web", good)
	ok(t, err)
	b.serves()
	if g.stop(); len(g.lost) > 0 {
		t.Error(g.lost)
	}
	if after := b.tasks(); !slices.Equal(after, before) {
		t.Errorf("the return restarted instances: %v became %v", before, after)
	}
}

func TestEngine_ImageThatIsNotThere(t *testing.T) {
	b := start(t)
	b.wish(1, "ok", func(p *lain.ProcSpec) { p.Image.Digest = "sha256:" + strings.Repeat("0", 64) })
	if f := b.fails(); !strings.HasPrefix(f.Sentence, "the image of web cannot be pulled") {
		t.Errorf("%+v", f)
	}
	b.wish(2, "ok", func(p *lain.ProcSpec) { // the entrypoint is given, so only the nodes find out
		p.Image.Digest = "sha256:" + strings.Repeat("0", 64)
		p.Entrypoint = []string{"/app"}
	})
	if f := b.fails(); !strings.HasPrefix(f.Sentence, "the image of web cannot be pulled") {
		t.Errorf("%+v", f)
	}
}

// The first container of the new release fails, its successor does not: the engine pauses its update and
// has to be told to take the old ones away.
func TestEngine_FirstContainerFails(t *testing.T) {
	b := start(t)
	var asked atomic.Int64
	gate := b.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	b.wish(1, "ok")
	b.serves()
	b.wish(2, "once", func(p *lain.ProcSpec) { p.Env = append(p.Env, "GATE=http://"+gate+"/") })
	b.serves()
}

func TestEngine_Worker(t *testing.T) {
	b := start(t)
	worker := func(p *lain.ProcSpec) { p.Port, p.HealthPath, p.Type = 0, "", lain.Worker }
	b.wish(1, "idle", worker)
	b.serves()
	if b.addresses() != nil {
		t.Errorf("a worker has endpoints: %v", b.addresses())
	}
	g := b.guard()
	b.wish(2, "exit", worker)
	if f := b.fails(); f.ExitCode == nil || *f.ExitCode != 3 {
		t.Errorf("%+v", f)
	}
	if g.stop(); len(g.lost) > 0 { // it never settled, so the old ones were not stopped for it
		t.Error(g.lost)
	}
}

func TestEngine_SickLaterLosesItsEndpointAndComesBack(t *testing.T) {
	b := start(t)
	b.wish(1, "ok")
	b.serves()
	old := b.addresses()
	get(t, old[0], "/fall-sick")
	begin := time.Now()
	b.until("endpoint gone", patience, func() bool { return !slices.Contains(b.addresses(), old[0]) })
	t.Logf("sick instance lost its endpoint after %s", time.Since(begin))
	b.until("two again", patience, func() bool { return len(b.addresses()) == 2 })
	t.Logf("two endpoints again after %s", time.Since(begin))
	item, err := b.seen.Get(t.Context(), "hello/web")
	ok(t, err)
	if item.Value.State != lain.SeenServing {
		t.Errorf("the verdict changed: %+v", item.Value)
	}
}

func TestEngine_HandsOnTheEngine(t *testing.T) {
	b := start(t)
	b.wish(1, "ok")
	b.serves()
	s, err := b.engine.Service(t.Context(), "hello", "web")
	ok(t, err)

	spec := s.Spec // scaled by hand
	one := uint64(1)
	spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &one}}
	ok(t, b.engine.UpdateService(t.Context(), s, spec, ""))
	b.until("two instances again", patience, func() bool { return len(b.tasks()) == 2 && len(b.addresses()) == 2 })

	ok(t, b.engine.RemoveService(t.Context(), s)) // removed by hand
	b.until("the service is back", patience, func() bool {
		n, err := b.engine.Service(t.Context(), "hello", "web")
		return err == nil && n.ID != s.ID
	})
	b.until("it serves", patience, func() bool { return len(b.addresses()) == 2 })

	orphan := s.Spec // ours by its labels, wanted by nobody
	orphan.Name, orphan.EndpointSpec = b.engine.ServiceName("hello", "ghost"), nil
	orphan.Labels = b.engine.Labels("hello", "ghost")
	ok(t, b.engine.CreateService(t.Context(), orphan, ""))
	b.until("the orphan is gone", patience, func() bool {
		_, err := b.engine.Service(t.Context(), "hello", "ghost")
		return err != nil
	})
}

func TestEngine_NoWritesAtRest(t *testing.T) {
	b := start(t)
	b.wish(1, "ok")
	b.serves()
	b.until("settled", patience, func() bool { return len(b.addresses()) == 2 })
	_, before, err := b.wants.List(t.Context(), "")
	ok(t, err)
	end := time.Now().Add(4 * time.Second)
	b.until("time has passed", patience, func() bool { return time.Now().After(end) })
	_, after, err := b.wants.List(t.Context(), "")
	ok(t, err)
	if before != after {
		t.Errorf("the store went from revision %d to %d", before, after)
	}
}

func TestEngine_Logs(t *testing.T) {
	b := start(t)
	b.wish(1, "ok")
	b.serves()
	var lines []engine.LogLine
	ok(t, b.engine.Logs(t.Context(), engine.LogQuery{App: "hello"}, func(l engine.LogLine) error {
		lines = append(lines, l)
		return nil
	}))
	if len(lines) != 2 || lines[0].Proc != "web" || lines[0].Text != `app v1 in mode "ok"` || lines[0].Instance+lines[1].Instance != 3 {
		t.Errorf("%+v", lines)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var told []string
	ok(t, b.engine.Logs(ctx, engine.LogQuery{App: "hello", Proc: "web", Follow: true}, func(l engine.LogLine) error {
		told = append(told, l.Text)
		if len(told) == 2 {
			cancel()
		}
		return nil
	}))
	if len(told) != 2 {
		t.Errorf("followed: %q", told)
	}
}

func TestEngine_AwayIsNoFailure(t *testing.T) {
	b := start(t)
	b.wish(1, "ok")
	b.serves()
	b.wish(2, "ok", func(p *lain.ProcSpec) { p.Deadline = 6 * time.Second })
	b.until("given to the engine", patience, func() bool {
		s, err := b.engine.Service(t.Context(), "hello", "web")
		return err == nil && s.Spec.Labels[AttemptLabel] == "2"
	})
	b.wire.away()
	end := time.Now().Add(8 * time.Second)
	b.until("time has passed", patience, func() bool { return time.Now().After(end) })
	item, err := b.seen.Get(t.Context(), "hello/web")
	ok(t, err)
	if item.Value.State == lain.SeenFailed || len(b.addresses()) == 0 {
		t.Errorf("with the engine away: %+v, endpoints %v", item.Value, b.addresses())
	}
	b.wire.back()
	b.serves()
}
