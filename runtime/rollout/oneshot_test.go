package rollout

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

func oneshot(p *lain.ProcSpec) { p.Name, p.Type, p.Port, p.Instances = "migrate", lain.Oneshot, 0, 1 }

// once is the task of a oneshot's service.
func once(state swarm.TaskState, change ...func(*swarm.Task)) swarm.Task {
	t := task(1, "new", state, change...)
	t.Spec.ContainerSpec.Labels[engine.OneshotLabel] = "true"
	return t
}

func TestJudgeOneshot(t *testing.T) {
	s := service(2, 0)
	for name, c := range map[string]struct {
		have  have
		begun bool
		at    time.Duration // after noon; 0: five seconds
		state lain.SeenState
		cause cause
	}{
		"not given to the engine":      {have: world(nil), state: lain.SeenRolling},
		"an older one is there":        {have: world(service(1, 0), once(isRunning)), state: lain.SeenRolling},
		"no task yet":                  {have: world(s), begun: true, state: lain.SeenRolling},
		"never a task":                 {have: world(s), begun: true, at: startLimit + time.Second, state: lain.SeenFailed, cause: causeRefused},
		"running":                      {have: world(s, once(isRunning)), begun: true, state: lain.SeenRolling},
		"running for a long time":      {have: world(s, once(isRunning)), begun: true, at: lain.OneshotLimit, state: lain.SeenRolling},
		"running for too long":         {have: world(s, once(isRunning)), begun: true, at: lain.OneshotLimit + time.Second, state: lain.SeenFailed, cause: causeOverdue},
		"ended with 0":                 {have: world(s, once(swarm.TaskStateComplete)), begun: true, state: lain.SeenServing},
		"ended with 0, seen too late":  {have: world(s, once(swarm.TaskStateComplete)), begun: true, at: 2 * lain.OneshotLimit, state: lain.SeenServing},
		"ended with 0, nobody begun":   {have: world(s, once(swarm.TaskStateComplete)), state: lain.SeenServing},
		"ended with another code":      {have: world(s, once(isFailed)), begun: true, state: lain.SeenFailed, cause: causeEnded},
		"stopped by somebody":          {have: world(s, once(isShutdown)), begun: true, state: lain.SeenFailed, cause: causeHalted},
		"on a node that is gone":       {have: world(s, once(swarm.TaskStateOrphaned)), begun: true, state: lain.SeenFailed, cause: causeHalted},
		"no image":                     {have: world(s, once(isRejected, saying("No such image: x"))), begun: true, state: lain.SeenFailed, cause: causeImage},
		"refused":                      {have: world(s, once(isRejected, saying("invalid mount"))), begun: true, state: lain.SeenFailed, cause: causeRefused},
		"no node, so far":              {have: world(s, once(isPending, saying("no suitable node"))), begun: true, at: startLimit, state: lain.SeenRolling},
		"no node":                      {have: world(s, once(isPending, saying("no suitable node"))), begun: true, at: startLimit + time.Second, state: lain.SeenFailed, cause: causeNoNode},
		"a slow image":                 {have: world(s, once(isPreparing)), begun: true, at: startLimit + time.Second, state: lain.SeenFailed, cause: causeImage},
		"begun, and gone":              {have: world(nil), begun: true, state: lain.SeenFailed, cause: causeLost},
		"begun, but an older is there": {have: world(service(1, 0), once(swarm.TaskStateComplete)), begun: true, state: lain.SeenFailed, cause: causeLost},
	} {
		at := after(max(c.at, 5*time.Second))
		if v := judgeOneshot(wish(oneshot), c.have, c.begun, noon, at); v.state != c.state || v.cause != c.cause {
			t.Errorf("%s: %s %q, want %s %q", name, v.state, v.cause, c.state, c.cause)
		}
	}
}

func TestDecideOneshot(t *testing.T) {
	for name, c := range map[string]struct {
		have  have
		begun bool
		want  action
	}{
		"nothing is there":               {have: world(nil), want: create},
		"it is there":                    {have: world(service(2, 0), once(isRunning)), begun: true, want: keep},
		"it is there, unmarked":          {have: world(service(2, 0), once(isRunning)), want: keep},
		"it failed":                      {have: world(service(2, 0), once(isFailed)), begun: true, want: keep},
		"it was begun, and is gone":      {have: world(nil), begun: true, want: keep},
		"an older one is there":          {have: world(service(1, 0), once(isRunning)), want: remove},
		"an older one is still stopping": {have: world(nil, once(isRunning)), want: ending},
	} {
		if got := decideOneshot(wish(oneshot), c.have, c.begun); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestOneshotSpecGolden(t *testing.T) {
	s := around()
	s.name, s.labels[engine.OneshotLabel] = "lab_hello_migrate_oneshot", "true"
	want := wish(oneshot, func(p *lain.ProcSpec) { p.Env, p.Port = []string{"A={{.Task.Slot}}"}, 80 })
	got, err := json.MarshalIndent(oneshotSpec(want, s, noon), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "spec-oneshot.json"), string(got)+"\n")
}

func TestOneshotFailures(t *testing.T) {
	ended := verdict{cause: causeEnded, times: 1, task: once(isFailed)}
	for want, c := range map[string]struct {
		verdict  verdict
		evidence evidence
	}{
		"migrate ended with exit code 3":                              {ended, evidence{exitCode: 3}},
		"migrate was ended by SIGTERM":                                {ended, evidence{exitCode: 143}},
		"migrate used more than its 256MiB of memory and was killed":  {ended, evidence{container: &engine.Container{ExitCode: 137, OOMKilled: true}}},
		"migrate did not end within 1h":                               {verdict{cause: causeOverdue, after: lain.OneshotLimit}, evidence{}},
		"what became of migrate is not known, the engine has lost it": {verdict{cause: causeLost}, evidence{}},
		"migrate was stopped on the engine before its end":            {verdict{cause: causeHalted}, evidence{}},
		"no node can run migrate: no suitable node":                   {verdict{cause: causeNoNode, words: "no suitable node"}, evidence{}},
	} {
		if f := failureOf(wish(oneshot), c.verdict, c.evidence); f.Sentence != want || f.Instance != c.verdict.task.Slot {
			t.Errorf("%q (instance %d), want %q", f.Sentence, f.Instance, want)
		}
	}
}
