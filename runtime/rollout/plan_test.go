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
		"scaled by hand":                      {want: wish(), have: world(service(2, 5)), do: update},
		"given up before the engine took it":  {want: wish(), have: world(service(1, 2)), gaveUp: true, do: keep},
		"given up and never made":             {want: wish(), have: world(nil), gaveUp: true, do: keep},
		"given up, but scaled by hand":        {want: wish(), have: world(service(2, 5)), gaveUp: true, do: update},
		"the engine paused half-way":          {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), leftover...), do: nudge},
		"the engine is done, but not quite":   {want: wish(), have: world(updating(swarm.UpdateStateCompleted, service(2, 2)), leftover...), do: nudge},
		"the engine is still at it":           {want: wish(), have: world(updating(swarm.UpdateStateUpdating, service(2, 2)), leftover...), do: keep},
		"nudged a moment ago":                 {want: wish(), have: world(updating(swarm.UpdateStatePaused, service(2, 2)), leftover...), memory: memory{nudged: after(9 * time.Second)}, do: keep},
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
