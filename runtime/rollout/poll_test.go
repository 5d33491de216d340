package rollout

import (
	"maps"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func TestDrawChangesWithWhatIsSeen(t *testing.T) {
	labels := map[string]string{engine.AppLabel: "hello", engine.ProcLabel: "web"}
	s := swarm.Service{ID: "s"}
	s.Spec.Labels = labels
	of := func(id string, version uint64) swarm.Task {
		t := swarm.Task{ID: id}
		t.Version.Index = version
		t.Spec.ContainerSpec = &swarm.ContainerSpec{Labels: labels}
		return t
	}
	base := draw([]swarm.Service{s}, []swarm.Task{of("a", 1), of("b", 2)})
	if len(base) != 1 || base["hello/web"] == "" {
		t.Fatal(base)
	}
	if !maps.Equal(base, draw([]swarm.Service{s}, []swarm.Task{of("b", 2), of("a", 1)})) {
		t.Error("the order of tasks changes the picture")
	}
	for name, tasks := range map[string][]swarm.Task{
		"gone": {of("a", 1)}, "new": {of("a", 1), of("b", 2), of("c", 1)}, "moved on": {of("a", 1), of("b", 3)}, "swapped": {of("a", 2), of("b", 1)},
	} {
		if maps.Equal(base, draw([]swarm.Service{s}, tasks)) {
			t.Errorf("a task that is %s leaves the picture the same", name)
		}
	}
}

func TestKeyOf(t *testing.T) {
	labels := map[string]string{engine.AppLabel: "hello", engine.ProcLabel: "web"}
	if lain.ProcKey("hello", "web") != keyOf(labels) {
		t.Error("labels and records give different keys")
	}
	labels[engine.OneshotLabel] = "true"
	if lain.OneshotKey("hello", "web") != keyOf(labels) {
		t.Error("labels and records of a oneshot give different keys")
	}
}
