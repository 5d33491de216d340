package rollout

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

const (
	isRunning   = swarm.TaskStateRunning
	isStarting  = swarm.TaskStateStarting
	isPreparing = swarm.TaskStatePreparing
	isPending   = swarm.TaskStatePending
	isFailed    = swarm.TaskStateFailed
	isRejected  = swarm.TaskStateRejected
	isShutdown  = swarm.TaskStateShutdown
)

func TestDecide(t *testing.T) {
	leftover := []swarm.Task{task(1, "new", isRunning), task(2, "new", isRunning), task(1, "old", isRunning)}
	cases := map[string]struct {
		want   lain.ProcWant
		have   have
		gaveUp bool
		memory memory
		do     action
	}{
		"no service yet":                      {want: wish(), have: world(nil), do: create},
		"a service gone by hand":              {want: wish(), have: world(nil, task(1, "new", isRunning)), do: create},
		"a new wish":                          {want: wish(), have: world(service(1, 2)), do: update},
		"as wished":                           {want: wish(), have: world(service(2, 2)), do: keep},
		"scaled up by hand":                   {want: wish(), have: world(service(2, 5), leftover[:2]...), do: update},
		"scaled down by hand":                 {want: wish(), have: world(service(2, 1), leftover[:1]...), do: update},
		"given up before the engine took it":  {want: wish(), have: world(service(1, 2)), gaveUp: true, do: keep},
		"given up and never made":             {want: wish(), have: world(nil), gaveUp: true, do: keep},
		"given up, but scaled down by hand":   {want: wish(), have: world(service(2, 1)), gaveUp: true, do: update},
		"fewer, but none is ready":            {want: wish(), have: world(service(2, 5), task(1, "new", isStarting)), do: keep},
		"fewer, but an old one is besides":    {want: wish(), have: world(service(2, 5), append(leftover[:2:2], task(3, "old", isRunning), task(3, "new", isStarting))...), do: keep},
		"fewer: none":                         {want: wish(instances(0)), have: world(service(2, 5)), do: update},
		"the engine paused half-way":          {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), leftover...), do: nudge},
		"the engine is done, but not quite":   {want: wish(), have: world(updating(swarm.UpdateStateCompleted, service(2, 2)), leftover...), do: nudge},
		"the engine is still at it":           {want: wish(), have: world(updating(swarm.UpdateStateUpdating, service(2, 2)), leftover...), do: keep},
		"nudged a moment ago":                 {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), leftover...), memory: memory{nudged: after(9 * time.Second)}, do: keep},
		"one too many":                        {want: wish(), have: world(service(2, 2), append(leftover[:2:2], task(1, "new", isRunning))...), do: nudge},
		"one too many, not ready":             {want: wish(), have: world(service(2, 2), append(leftover[:2:2], task(1, "new", isStarting))...), do: keep},
		"older ones, and one not ready":       {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), append(leftover[:3:3], task(1, "new", isStarting))...), do: keep},
		"paused, but the new are not ready":   {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), leftover[1:]...), do: keep},
		"a negative number of instances is 0": {want: wish(instances(-3)), have: world(service(2, 0)), do: keep},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if do := decide(c.want, c.have, c.gaveUp, c.memory, after(10*time.Second)); do != c.do {
				t.Errorf("%s, want %s", do, c.do)
			}
		})
	}
}

// A return to two from five that fail keeps the size at first; so does a wish for fewer.
func TestSize_ShrinksOnlyWhatStandsAlone(t *testing.T) {
	shared := []swarm.Task{task(1, "new", isRunning), task(2, "new", isRunning), task(1, "bad", isStarting), task(3, "bad", isStarting)}
	for name, c := range map[string]struct {
		want lain.ProcWant
		have have
		n    int
	}{
		"there is no service":              {wish(), world(nil), 2},
		"another attempt has more":         {wish(), world(service(1, 5), shared[:2]...), 5},
		"another attempt has less":         {wish(), world(service(1, 1), shared[:1]...), 2},
		"a bad one shares a slot":          {wish(), world(service(2, 5), shared...), 5},
		"bad ones have slots of their own": {wish(), world(service(2, 5), shared[0], shared[1], shared[3]), 2},
		"one of two is ready":              {wish(), world(service(2, 5), shared[0], shared[3]), 5},
		"none are wished for":              {wish(instances(0)), world(service(1, 5), shared...), 0},
	} {
		if n := size(c.want, c.have); n != c.n {
			t.Errorf("%s: %d, want %d", name, n, c.n)
		}
	}
}

func TestRetreat(t *testing.T) {
	old, bad, next := task(1, "old", isRunning), task(1, "new", isStarting), "next"
	crashed := task(1, "new", isFailed, desired(isRunning)) // its successor is not made yet
	before := service(1, 2)
	before.Spec.TaskTemplate.ContainerSpec.Labels[SpecLabel] = "old"
	from := func(previous string) *swarm.Service {
		s := service(2, 2)
		s.PreviousSpec = &service(1, 2).Spec
		s.PreviousSpec.TaskTemplate.ContainerSpec.Labels = map[string]string{SpecLabel: previous}
		return s
	}
	cases := map[string]struct {
		have       have
		next       string
		memory     memory
		back, wait bool
	}{
		"one starts beside one that runs":     {have: world(from("old"), old, bad), back: true},
		"one has just crashed":                {have: world(from("old"), old, crashed), back: true},
		"the wish is the return":              {have: world(from("old"), old, bad), next: "old"},
		"nothing but the old":                 {have: world(from("old"), old)},
		"the bad one is told to go":           {have: world(from("old"), old, task(1, "new", isStarting, desired(isShutdown)))},
		"in another slot":                     {have: world(from("old"), old, task(2, "new", isStarting))},
		"both run":                            {have: world(from("old"), old, task(1, "new", isRunning))},
		"nothing runs":                        {have: world(from("old"), task(1, "old", isStarting), bad)},
		"it has gone back":                    {have: world(before, old, bad), memory: memory{retreated: noon}, wait: true},
		"it has gone back, to no avail":       {have: world(before, old, bad), memory: memory{retreated: after(-time.Hour)}},
		"a successor of the running one":      {have: world(before, old, task(1, "old", isStarting))},
		"the engine remembers something else": {have: world(from("other"), old, bad)},
		"the engine remembers nothing":        {have: world(service(2, 2), old, bad)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.next != "" {
				next = c.next
			} else {
				next = "next"
			}
			if back, wait := retreat(c.have, next, c.memory, after(time.Second)); back != c.back || wait != c.wait {
				t.Errorf("back %v, wait %v; want %v, %v", back, wait, c.back, c.wait)
			}
		})
	}
}

func TestDismantle(t *testing.T) {
	cases := map[string]struct {
		have      have
		endpoints bool
		withdrawn time.Time
		do        action
	}{
		"endpoints first":                 {have: world(service(2, 2)), endpoints: true, do: withdraw},
		"routers need a moment":           {have: world(service(2, 2)), withdrawn: after(-100 * time.Millisecond), do: drain},
		"then the service":                {have: world(service(2, 2)), withdrawn: after(-500 * time.Millisecond), do: remove},
		"never had endpoints":             {have: world(service(2, 2)), do: remove},
		"containers take their time":      {have: world(nil, task(1, "new", isRunning)), do: ending},
		"endpoints of a vanished service": {have: world(nil), endpoints: true, do: withdraw},
		"only records are left":           {have: world(nil), do: forget},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if do := dismantle(c.have, c.endpoints, memory{withdrawn: c.withdrawn}, noon); do != c.do {
				t.Errorf("%s, want %s", do, c.do)
			}
		})
	}
}

func TestMemoryRefreshed(t *testing.T) {
	want := wish()
	j := &job{want: &want, have: world(service(2, 2)), now: after(time.Minute)}
	crash := []swarm.Task{task(1, "new", isFailed)}
	cases := map[string]struct {
		memory, then memory
		tasks        []swarm.Task
	}{
		"nothing happened":              {memory: memory{attempt: 2, refusals: 1}, then: memory{attempt: 2, refusals: 1}},
		"a new wish forgets the old":    {memory: memory{attempt: 1, refusals: 2, clock: noon}, then: memory{attempt: 2}},
		"after the engine was away":     {memory: memory{attempt: 2, away: true}, then: memory{attempt: 2, clock: j.now}},
		"away, and a new wish":          {memory: memory{attempt: 1, away: true}, then: memory{attempt: 2, clock: j.now}},
		"while the image comes":         {memory: memory{attempt: 2}, tasks: []swarm.Task{task(1, "new", isPreparing)}, then: memory{attempt: 2, clock: j.now}},
		"a second container's image":    {memory: memory{attempt: 2}, tasks: []swarm.Task{task(1, "new", isPreparing), task(1, "new", isFailed)}, then: memory{attempt: 2, failures: crash}},
		"the engine forgets a failure":  {memory: memory{attempt: 2, failures: crash}, tasks: []swarm.Task{task(1, "new", isPreparing)}, then: memory{attempt: 2, failures: crash}},
		"a new wish, a new count":       {memory: memory{attempt: 1, failures: crash}, then: memory{attempt: 2}},
		"an older one's image is aside": {memory: memory{attempt: 2}, tasks: []swarm.Task{task(1, "old", isPreparing)}, then: memory{attempt: 2}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			j.have.tasks = c.tasks
			if got := c.memory.refreshed(j); !reflect.DeepEqual(got, c.then) {
				t.Errorf("%+v, want %+v", got, c.then)
			}
		})
	}
}
