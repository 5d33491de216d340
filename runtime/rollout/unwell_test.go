package rollout

import (
	"fmt"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// at gives a task a port that is published, and a container of that number's name.
func at(port uint32) func(*swarm.Task) {
	return func(t *swarm.Task) {
		published(port)(t)
		t.Status.ContainerStatus = &swarm.ContainerStatus{ContainerID: fmt.Sprint("c", port)}
	}
}

func TestAddressesOfTheUnwell(t *testing.T) {
	three := []swarm.Task{task(1, "new", isRunning, at(1)), task(2, "new", isRunning, at(2)), task(3, "new", isRunning, at(3))}
	for name, c := range map[string]struct {
		tasks  []swarm.Task
		unwell []string
		want   []string
	}{
		"all are well":            {three, nil, []string{":1", ":2", ":3"}},
		"one is unwell":           {three, []string{"c2"}, []string{":1", ":3"}},
		"two are":                 {three, []string{"c2", "c3"}, []string{":1"}},
		"all are: they stay":      {three, []string{"c1", "c2", "c3"}, []string{":1", ":2", ":3"}},
		"one of another proc is":  {three, []string{"c9"}, []string{":1", ":2", ":3"}},
		"the only one is":         {three[:1], []string{"c1"}, []string{":1"}},
		"none runs":               {nil, []string{"c1"}, nil},
		"the well one is leaving": {[]swarm.Task{three[0], task(2, "new", isRunning, at(2), desired(isShutdown))}, []string{"c1"}, []string{":1"}},
		"the well one has only begun to start": {[]swarm.Task{three[0], task(2, "new", isStarting, at(2))},
			[]string{"c1"}, []string{":1"}},
		"the well one has no port": {[]swarm.Task{three[0], task(2, "new", isRunning)}, []string{"c1"}, []string{":1"}},
		"the old release is, the new one serves": {[]swarm.Task{task(1, "old", isRunning, at(4)), three[0]},
			[]string{"c4"}, []string{":1"}},
		"the new release is, the old one serves": {[]swarm.Task{task(1, "old", isRunning, at(4)), three[0]},
			[]string{"c1"}, []string{":4"}},
		"no container is known yet": {[]swarm.Task{task(1, "new", isRunning, published(1))}, []string{""}, []string{":1"}},
	} {
		h := world(service(2, 3), c.tasks...)
		h.unwell = set(c.unwell)
		var want []string
		for _, w := range c.want {
			want = append(want, "10.0.0.11"+w)
		}
		if got := h.addresses(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func set(ids []string) containers {
	s := containers{}
	for _, id := range ids {
		s[id] = true
	}
	return s
}

func TestInstancesThatAreUnwell(t *testing.T) {
	h := world(service(2, 3),
		task(1, "new", isRunning, at(1)),
		task(2, "new", isRunning, at(2)),
		task(3, "new", isStarting, at(3)),
		task(4, "old", isRunning, at(4), desired(isShutdown)))
	h.unwell = set([]string{"c2", "c3", "c4"})
	var states []string
	for _, i := range h.instances() {
		states = append(states, i.State)
	}
	if want := []string{"running", lain.UnwellState, "starting", lain.StoppingState}; !slices.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
}

// What is unwell has been healthy: the verdict is not about the probes, but about what the engine makes of them.
func TestTheUnwellDoNotChangeAVerdict(t *testing.T) {
	h := world(service(2, 2), task(1, "new", isRunning, at(1)), task(2, "new", isRunning, at(2)))
	h.unwell = set([]string{"c1", "c2"})
	if v := judge(wish(), h, noon, noon); v.state != lain.SeenServing {
		t.Errorf("%s: %s", v.state, v.reason)
	}
}
