package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

func TestJudge(t *testing.T) {
	both := []swarm.Task{task(1, "new", isRunning), task(2, "new", isRunning)}
	three := []swarm.Task{
		task(1, "new", isFailed, saying("exit 3")), task(1, "new", isFailed), task(2, "new", isFailed),
		task(1, "new", isStarting),
	}
	ill := saying("task: non-zero exit (137): dockerexec: unhealthy container")
	cases := map[string]struct {
		want  lain.ProcWant
		have  have
		at    time.Duration // after noon; 0: five seconds
		state lain.SeenState
		cause cause
	}{
		"the engine has an older attempt":      {have: world(service(1, 2), both...), state: lain.SeenRolling},
		"there is no service":                  {have: world(nil), state: lain.SeenRolling},
		"all run":                              {have: world(service(2, 2), both...), state: lain.SeenServing},
		"all run, however late":                {have: world(service(2, 2), both...), at: time.Hour, state: lain.SeenServing},
		"one of two":                           {have: world(service(2, 2), both[0], task(2, "new", isStarting)), state: lain.SeenRolling},
		"an older one is still wanted":         {have: world(service(2, 2), append(both, task(1, "old", isRunning))...), state: lain.SeenRolling},
		"an older one was told to go":          {have: world(service(2, 2), append(both, task(1, "old", isRunning, desired(isShutdown)))...), state: lain.SeenServing},
		"one too many":                         {have: world(service(2, 2), append(both, task(3, "new", isRunning))...), state: lain.SeenRolling},
		"running, but told to go":              {have: world(service(2, 2), both[0], task(2, "new", isRunning, desired(isShutdown))), state: lain.SeenRolling},
		"only the old run":                     {have: world(service(2, 2), task(1, "old", isRunning), task(2, "old", isRunning)), state: lain.SeenRolling},
		"none wanted, none there":              {want: wish(none), have: world(service(2, 0)), state: lain.SeenServing},
		"none wanted, one still wanted":        {want: wish(none), have: world(service(2, 0), both[0]), state: lain.SeenRolling},
		"two failed":                           {have: world(service(2, 2), three[1:]...), state: lain.SeenRolling},
		"three failed":                         {have: world(service(2, 2), three...), state: lain.SeenFailed, cause: causeEnded},
		"three failed, but then all came up":   {have: world(service(2, 2), slices.Concat(three[:3], both)...), state: lain.SeenServing},
		"three of an older spec failed":        {have: world(service(2, 2), task(1, "old", isFailed), task(1, "old", isFailed), task(1, "old", isFailed)), state: lain.SeenRolling},
		"three failed before this attempt":     {have: world(service(2, 2), task(1, "new", isFailed, created(after(-time.Second))), three[1], three[2]), state: lain.SeenRolling},
		"three ended well, and that is as bad": {have: world(service(2, 2), task(1, "new", swarm.TaskStateComplete), three[1], three[2]), state: lain.SeenFailed, cause: causeEnded},
		"three got sick":                       {have: world(service(2, 2), task(1, "new", isFailed, ill), task(1, "new", isFailed, ill), task(1, "new", isFailed, ill)), state: lain.SeenFailed, cause: causeSick},
		"no image":                             {have: world(service(2, 2), task(1, "new", isRejected, saying("No such image: x")), task(1, "new", isRejected, saying("No such image: x")), task(1, "new", isRejected, saying("No such image: x"))), state: lain.SeenFailed, cause: causeImage},
		"refused by the engine":                {have: world(service(2, 2), task(1, "new", isRejected, saying("invalid mount")), task(1, "new", isRejected, saying("invalid mount")), task(1, "new", isRejected, saying("invalid mount"))), state: lain.SeenFailed, cause: causeRefused},
		"starting, in time":                    {have: world(service(2, 2), task(1, "new", isStarting), both[1]), at: 30 * time.Second, state: lain.SeenRolling},
		"starting, too late":                   {have: world(service(2, 2), task(1, "new", isStarting), both[1]), at: 31 * time.Second, state: lain.SeenFailed, cause: causeLate},
		"setup_time comes on top":              {want: wish(slowSetup), have: world(service(2, 2), task(1, "new", isStarting), both[1]), at: 50 * time.Second, state: lain.SeenRolling},
		"setup_time is over":                   {want: wish(slowSetup), have: world(service(2, 2), task(1, "new", isStarting), both[1]), at: 51 * time.Second, state: lain.SeenFailed, cause: causeLate},
		"no node":                              {have: world(service(2, 2), task(1, "new", isPending, saying("no suitable node (insufficient memory)"))), at: 31 * time.Second, state: lain.SeenFailed, cause: causeNoNode},
		"the image takes too long":             {have: world(service(2, 2), task(1, "new", isPreparing)), at: 31 * time.Second, state: lain.SeenFailed, cause: causeImage},
		"the old ones stay":                    {have: world(service(2, 2), append(both, task(1, "old", isRunning))...), at: 31 * time.Second, state: lain.SeenFailed, cause: causeLeftover},
		"late after one crash":                 {have: world(service(2, 2), task(1, "new", isFailed), task(1, "new", swarm.TaskStateReady), both[1]), at: 31 * time.Second, state: lain.SeenFailed, cause: causeEnded},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.want.App == "" {
				c.want = wish()
			}
			if c.at == 0 {
				c.at = 5 * time.Second
			}
			v := judge(c.want, c.have, noon, after(c.at))
			if v.state != c.state || v.cause != c.cause {
				t.Errorf("%s (%s) %q, want %s (%s)", v.state, v.cause, v.reason, c.state, c.cause)
			}
		})
	}
}

func TestProgressSaysWhatIsMissing(t *testing.T) {
	h := world(service(2, 2), task(1, "new", isRunning), task(2, "new", isPending, saying("no suitable\nnode")))
	if v := judge(wish(), h, noon, after(2*time.Second)); v.reason != "1 of 2 instances ready, instance 2 is pending: no suitable node" {
		t.Error(v.reason)
	}
}

func TestAddresses(t *testing.T) {
	h := world(service(2, 2),
		task(1, "new", isRunning, published(32769)),
		task(1, "old", isRunning, published(32768)),
		task(2, "old", isRunning, published(32770), desired(isShutdown)),
		task(2, "new", isStarting, published(32771)),
		task(3, "new", isRunning),
		task(4, "new", isRunning, published(32772), func(t *swarm.Task) { t.NodeID = "n2" }),
		task(5, "new", isFailed, published(32773)))
	want := []string{"10.0.0.11:32768", "10.0.0.11:32769", "127.0.0.1:32772"}
	if got := h.addresses(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestInstances(t *testing.T) {
	h := world(service(2, 2),
		task(1, "new", isFailed, created(after(1))),
		task(1, "new", isStarting, created(after(2))),
		task(1, "old", isRunning, published(32768)),
		task(2, "new", isFailed, created(after(2)), saying("exit 3")),
		task(2, "new", isFailed, created(after(1))),
		task(9, "old", isShutdown, desired(isShutdown)))
	got := h.instances()
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	if g := got[0]; g.Number != 1 || g.State != "starting" || g.Failed != 1 || g.Release != 7 || g.Node != "one" || g.Address != "" {
		t.Errorf("first %+v", g)
	}
	if g := got[1]; g.Number != 1 || g.State != "running" || g.Address != "10.0.0.11:32768" {
		t.Errorf("second %+v", g)
	}
	if g := got[2]; g.Number != 2 || g.State != "failed" || g.Reason != "exit 3" || g.Failed != 2 {
		t.Errorf("third %+v", g)
	}
}

// A bad attempt is followed by another one, and the engine forgets the containers of the first meanwhile: they
// must not count against the second.
func TestFailuresOfAnEarlierAttempt_AreNotThisOnes(t *testing.T) {
	want := wish()
	want.Attempt = 3
	failed := world(service(2, 2), task(1, "new", isFailed), task(1, "new", isFailed), task(2, "new", isFailed))
	m := memory{attempt: 2}.refreshed(&job{want: &want, have: failed, now: noon})
	next := &job{want: &want, have: world(service(3, 2), task(1, "new", isStarting)), now: after(time.Second)}
	m.refreshed(next)
	if v := judge(want, next.have, noon, next.now); v.state != lain.SeenRolling {
		t.Errorf("%s: %s", v.state, v.reason)
	}
}

// The engine forgets containers of this attempt as well, and those do count.
func TestFailuresThatTheEngineForgot_StillCount(t *testing.T) {
	want := wish()
	var m memory
	for _, slot := range []int{1, 2, 3} {
		j := &job{want: &want, have: world(service(2, 2), task(slot, "new", isFailed)), now: after(time.Second)}
		m = m.refreshed(j)
		if v := judge(want, j.have, noon, j.now); (v.state == lain.SeenFailed) != (slot == 3) {
			t.Errorf("after %d: %s", slot, v.state)
		}
	}
}
