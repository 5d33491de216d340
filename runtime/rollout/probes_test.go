package rollout

import (
	"maps"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
)

var webLabels = map[string]string{engine.AppLabel: "hello", engine.ProcLabel: "web"}

func ended(container, exec string, code int) engine.Event {
	return engine.Event{Kind: engine.ExecEnded, Container: container, Exec: exec, ExitCode: code, Labels: webLabels}
}

func died(container string) engine.Event {
	return engine.Event{Kind: engine.ContainerDied, Container: container, Labels: webLabels}
}

func TestProbesNote(t *testing.T) {
	const ask, other = "probe", "other" // the ids of commands
	failed := ended("c1", ask, 1)
	for name, c := range map[string]struct {
		events  []engine.Event
		unwell  []string
		news    int // how often the proc has to be looked at
		lookups int // how often the engine has to be asked for a command
	}{
		"a good probe is no news":               {[]engine.Event{ended("c1", ask, 0), ended("c1", ask, 0)}, nil, 0, 0},
		"a failed one is":                       {[]engine.Event{failed}, []string{"c1"}, 1, 1},
		"a second one is not":                   {[]engine.Event{failed, failed, failed}, []string{"c1"}, 1, 1},
		"one that the engine had to kill is":    {[]engine.Event{ended("c1", ask, 137)}, []string{"c1"}, 1, 1},
		"a good one behind it is":               {[]engine.Event{failed, ended("c1", ask, 0), ended("c1", ask, 0)}, nil, 2, 2},
		"of another container, too":             {[]engine.Event{failed, ended("c2", ask, 1)}, []string{"c1", "c2"}, 2, 2},
		"a command of a person's says nothing":  {[]engine.Event{ended("c1", other, 1)}, nil, 0, 1},
		"nor does it that a sick one is well":   {[]engine.Event{failed, ended("c1", other, 0)}, []string{"c1"}, 1, 2},
		"the container's end, which tasks tell": {[]engine.Event{failed, died("c1")}, nil, 1, 1},
	} {
		p, news, lookups := newProbes(), 0, 0
		isProbe := func(exec string) bool { lookups++; return exec == ask }
		for _, e := range c.events {
			switch key := p.note(e, isProbe); key {
			case "":
			case "hello/web":
				news++
			default:
				t.Errorf("%s: %q has changed", name, key)
			}
		}
		if got := slices.Sorted(maps.Keys(p.unwell)); !slices.Equal(got, c.unwell) || news != c.news || lookups != c.lookups {
			t.Errorf("%s: unwell are %v, want %v; news %d times, want %d; asked for %d commands, want %d", name, got, c.unwell,
				news, c.news, lookups, c.lookups)
		}
	}
}

func TestProbesReplace(t *testing.T) {
	p := newProbes()
	other := map[string]string{engine.AppLabel: "hello", engine.ProcLabel: "api"}
	changed := p.replace(map[string]map[string]string{"c1": webLabels, "c2": webLabels})
	if !slices.Equal(changed, []string{"hello/web", "hello/web"}) {
		t.Errorf("at first: %v", changed)
	}
	changed = p.replace(map[string]map[string]string{"c2": webLabels, "c3": other}) // c1 is well again, or gone
	if slices.Sort(changed); !slices.Equal(changed, []string{"hello/api", "hello/web"}) {
		t.Errorf("then: %v", changed)
	}
	if changed = p.replace(map[string]map[string]string{"c2": webLabels, "c3": other}); len(changed) > 0 {
		t.Errorf("the same again: %v", changed)
	}
	tasks := []swarm.Task{task(1, "new", isRunning, at(1)), task(2, "new", isRunning, at(2)), task(3, "new", isStarting)}
	if got := p.unwellOf(tasks); !maps.Equal(got, set([]string{"c2"})) {
		t.Errorf("of web: %v", got)
	}
}
