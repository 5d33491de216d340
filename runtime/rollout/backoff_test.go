package rollout

import (
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

func TestDelayAfter(t *testing.T) {
	for _, c := range []struct {
		ends, instances int
		delay           time.Duration
	}{
		{0, 1, time.Second}, {2, 1, time.Second}, {3, 1, 5 * time.Second}, {5, 1, 5 * time.Second}, {6, 1, 30 * time.Second}, {1000, 1, 30 * time.Second},
		{3, 3, time.Second}, {8, 3, time.Second}, {9, 3, 5 * time.Second}, {18, 3, 30 * time.Second},
		{3, 0, 5 * time.Second},
	} {
		if d := delayAfter(c.ends, c.instances); d != c.delay {
			t.Errorf("%d ends of %d instances: %s, want %s", c.ends, c.instances, d, c.delay)
		}
	}
}

// crashed is a task of a slot that ended so many seconds after noon.
func crashed(slot, second int) swarm.Task {
	return task(slot, "new", isFailed, func(t *swarm.Task) {
		t.ID += time.Duration(second * 1e9).String()
		t.Status.Timestamp = after(time.Duration(second) * time.Second)
	})
}

// since is a task that has been in its state since so many seconds after noon.
func since(second int) func(*swarm.Task) {
	return func(t *swarm.Task) { t.Status.Timestamp = after(time.Duration(second) * time.Second) }
}

func said(change ...func(*lain.Crashing)) *lain.Crashing {
	c := &lain.Crashing{Since: after(time.Second), Last: after(3 * time.Second), Times: 3, Reason: "ended", Delay: 5 * time.Second}
	for _, f := range change {
		f(c)
	}
	return c
}

func TestCrashes(t *testing.T) {
	waits := task(1, "new", swarm.TaskStateReady, desired(swarm.TaskStateReady))
	three := []swarm.Task{waits, crashed(1, 1), crashed(1, 2), crashed(1, 3)}
	more := func(times int, last int, delay time.Duration) func(*lain.Crashing) {
		return func(c *lain.Crashing) {
			c.Times, c.Last, c.Delay = times, after(time.Duration(last)*time.Second), delay
		}
	}
	runs := func(c *lain.Crashing) { c.Runs = after(40 * time.Second) }
	fresh := func(c *lain.Crashing) { c.Reason = "" }
	for name, c := range map[string]struct {
		was       *lain.Crashing
		from      time.Time
		tasks     []swarm.Task
		instances int
		now       int // seconds after noon
		want      *lain.Crashing
	}{
		"nothing ended":                          {tasks: []swarm.Task{waits}, now: 4},
		"it ended twice":                         {tasks: three[:3], now: 4},
		"it ended three times":                   {tasks: three, now: 4, want: said(fresh)},
		"two ends of three were before":          {from: after(2 * time.Second), tasks: three, now: 4},
		"each of three ended once":               {tasks: []swarm.Task{waits, crashed(1, 1), crashed(2, 2), crashed(3, 3)}, instances: 3, now: 4},
		"one of two runs":                        {tasks: append([]swarm.Task{task(2, "new", isRunning, since(0))}, three...), now: 4},
		"one is starting":                        {tasks: append([]swarm.Task{task(1, "new", isStarting)}, three...), now: 4, want: said(fresh)},
		"an older release runs":                  {tasks: append([]swarm.Task{task(2, "old", isRunning, since(0))}, three...), now: 4},
		"ends of an older release":               {tasks: []swarm.Task{waits, task(1, "old", isFailed), task(2, "old", isFailed), task(3, "old", isFailed)}, now: 4},
		"nothing new":                            {was: said(), tasks: three, now: 20, want: said()},
		"the engine forgot them":                 {was: said(), tasks: []swarm.Task{waits}, now: 20, want: said()},
		"once more":                              {was: said(), tasks: append([]swarm.Task{crashed(1, 9)}, three...), now: 20, want: said(more(4, 9, 5*time.Second))},
		"three times more":                       {was: said(), tasks: append([]swarm.Task{crashed(1, 19), crashed(1, 14), crashed(1, 9)}, three...), now: 20, want: said(more(6, 19, 30*time.Second))},
		"instances were added":                   {was: said(), tasks: three, instances: 5, now: 20, want: said()},
		"it runs again":                          {was: said(), tasks: []swarm.Task{task(1, "new", isRunning, since(40))}, now: 69, want: said(runs)},
		"it ran again, for too short a time":     {was: said(runs), tasks: []swarm.Task{waits, crashed(1, 60)}, now: 60, want: said(more(4, 60, 5*time.Second))},
		"it runs well":                           {was: said(runs), tasks: []swarm.Task{task(1, "new", isRunning, since(40))}, now: 70},
		"one of two runs well, the other not":    {was: said(runs), tasks: append([]swarm.Task{task(2, "new", isRunning, since(40))}, three...), now: 70},
		"it runs, but is told to stop":           {was: said(), tasks: []swarm.Task{task(1, "new", isRunning, since(0), desired(isShutdown))}, now: 70, want: said()},
		"no instance is wanted any more":         {was: said(), tasks: three, instances: -1, now: 4},
		"an end is reported behind a newer one":  {was: said(), tasks: []swarm.Task{waits, crashed(2, 2)}, now: 4, want: said()},
		"it is refused by the engine, as a rule": {tasks: refused(three), now: 4, want: said(fresh)},
	} {
		if c.instances == 0 {
			c.instances = 1
		}
		got := crashes(c.was, c.from, world(service(2, c.instances), c.tasks...), c.instances, after(time.Duration(c.now)*time.Second))
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

func refused(tasks []swarm.Task) (list []swarm.Task) {
	for _, t := range tasks {
		if broken(t) {
			t.Status.State = isRejected
		}
		list = append(list, t)
	}
	return list
}

// What the controller asks itself before it has the engine replace tasks for another delay.
func TestPaceIsDue(t *testing.T) {
	waits := task(1, "new", swarm.TaskStateReady, desired(swarm.TaskStateReady))
	comes := task(2, "new", swarm.TaskStateReady)
	starts := task(2, "new", isStarting)
	for name, c := range map[string]struct {
		tasks []swarm.Task
		delay time.Duration
		since time.Time
		due   bool
	}{
		"all wait":                             {tasks: []swarm.Task{waits, crashed(1, 1)}, delay: 5 * time.Second, due: true},
		"the service has it":                   {tasks: []swarm.Task{waits}, delay: time.Second},
		"one runs":                             {tasks: []swarm.Task{waits, task(2, "new", isRunning)}, delay: 5 * time.Second, since: noon},
		"one runs and is told to stop":         {tasks: []swarm.Task{waits, task(2, "new", isRunning, desired(isShutdown))}, delay: 5 * time.Second, since: noon},
		"one of another release runs":          {tasks: []swarm.Task{waits, task(2, "old", isRunning)}, delay: 5 * time.Second, since: noon},
		"one starts":                           {tasks: []swarm.Task{waits, starts}, delay: 5 * time.Second, since: after(50 * time.Second)},
		"one is about to":                      {tasks: []swarm.Task{waits, comes}, delay: 5 * time.Second, due: true},
		"one was started just now":             {tasks: []swarm.Task{waits, task(2, "new", isStarting, since(59))}, delay: 5 * time.Second, due: true},
		"one was started a moment ago":         {tasks: []swarm.Task{waits, task(2, "new", isStarting, since(58))}, delay: 5 * time.Second},
		"one has ended, and has no successor":  {tasks: []swarm.Task{waits, task(2, "new", isFailed, desired(isRunning))}, delay: 5 * time.Second, due: true},
		"one always starts":                    {tasks: []swarm.Task{waits, starts}, delay: 5 * time.Second, since: after(20 * time.Second), due: true},
		"one always starts: it has it, though": {tasks: []swarm.Task{waits, starts}, delay: time.Second, since: after(20 * time.Second)},
		"nothing is wanted":                    {delay: 5 * time.Second, since: noon},
	} {
		h := world(service(2, 2), c.tasks...)
		if due := h.due(c.delay, c.since, after(time.Minute), 30*time.Second); due != c.due {
			t.Errorf("%s: %v, want %v", name, due, c.due)
		}
	}
}

// with gives a task the delay that it was made with.
func with(delay time.Duration) func(*swarm.Task) {
	return func(t *swarm.Task) { t.Spec.RestartPolicy = restartAfter(delay) }
}

// A wish for what runs must not differ in the delay, or the engine would replace it.
func TestDelayOfAWish(t *testing.T) {
	slow := with(30 * time.Second)
	for name, c := range map[string]struct {
		tasks []swarm.Task
		delay time.Duration
	}{
		"nothing runs":                     {delay: time.Second},
		"one with the ordinary one":        {tasks: []swarm.Task{task(1, "new", isRunning, with(time.Second))}, delay: time.Second},
		"one from a time of crashes":       {tasks: []swarm.Task{task(1, "old", isRunning), task(2, "new", isRunning, slow)}, delay: 30 * time.Second},
		"another release from such a time": {tasks: []swarm.Task{task(1, "old", isRunning, slow)}, delay: time.Second},
		"it has not come up":               {tasks: []swarm.Task{task(1, "new", isStarting, slow)}, delay: time.Second},
		"it is leaving":                    {tasks: []swarm.Task{task(1, "new", isRunning, slow, desired(isShutdown))}, delay: time.Second},
		"nobody says":                      {tasks: []swarm.Task{task(1, "new", isRunning)}, delay: time.Second},
	} {
		if d := world(service(2, 2), c.tasks...).delayFor("new"); d != c.delay {
			t.Errorf("%s: %s, want %s", name, d, c.delay)
		}
	}
}

func TestPacedIsTheSameButForTheDelay(t *testing.T) {
	ordinary := serviceSpec(wish(), surroundings{name: "hello", labels: map[string]string{}}, noon)
	slow := paced(ordinary, 30*time.Second)
	if *slow.TaskTemplate.RestartPolicy.Delay != 30*time.Second || slow.UpdateConfig.Order != swarm.UpdateOrderStopFirst {
		t.Errorf("%+v, %+v", slow.TaskTemplate.RestartPolicy, slow.UpdateConfig)
	}
	if *ordinary.TaskTemplate.RestartPolicy.Delay != time.Second || ordinary.UpdateConfig.Order != swarm.UpdateOrderStartFirst {
		t.Error("it changed what it was made of")
	}
	slow.TaskTemplate.RestartPolicy, slow.UpdateConfig = ordinary.TaskTemplate.RestartPolicy, ordinary.UpdateConfig
	if !reflect.DeepEqual(slow, ordinary) {
		t.Errorf("%+v, want %+v", slow, ordinary)
	}
}
