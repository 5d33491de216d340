package rollout

import (
	"context"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"lain.internal/lain/lain"
)

// lookAtCrashes finds out whether the proc crashes, once its attempt has its verdict, and what delay it deserves.
func (c *Controller) lookAtCrashes(ctx context.Context, j *job) {
	defer func() { c.countCrashing(j.key, j.crashing != nil) }()
	if !j.settled() {
		return
	}
	if j.memory.well.IsZero() || ranWell(j.have.runsSince(), j.now) {
		j.memory.well = j.now
	}
	was := j.seen.Crashing
	j.crashing = crashes(was, j.memory.well, j.have, j.want.Spec.Instances, j.now)
	if j.crashing != nil && (was == nil || !was.Last.Equal(j.crashing.Last)) {
		c.describe(ctx, j)
	}
	c.tellCrashes(j, was)
	switch {
	case j.have.delay() == j.delay(), j.have.pause(j.now) == atWork:
		j.memory.unpaced = time.Time{}
	case j.memory.unpaced.IsZero():
		j.memory.unpaced = j.now
	}
}

// settled reports whether the engine has this attempt, and it its verdict.
func (j *job) settled() bool { return j.judged() && j.have.attempt() == j.want.Attempt }

// delay is the one that the service should have.
func (j *job) delay() time.Duration {
	if j.crashing == nil {
		return delays[0]
	}
	return j.crashing.Delay
}

// paceDue reports whether the service is to be given that delay now.
func (j *job) paceDue() bool {
	return j.settled() && j.have.due(j.delay(), j.memory.unpaced, j.now, timeToComeUp(j.want.Spec))
}

// paceSoon reports whether that waits for a container that is on its way up, which may end at any moment.
func (j *job) paceSoon() bool {
	return j.settled() && j.have.delay() != j.delay() && j.have.pause(j.now) != atWork
}

// pace gives the service the delay. Nothing that runs is replaced for it: see due.
func (c *Controller) pace(ctx context.Context, j *job) error {
	return c.engine.UpdateService(ctx, *j.have.service, paced(j.have.service.Spec, j.delay()), "")
}

// describe fills in how the newest container ended.
func (c *Controller) describe(ctx context.Context, j *job) {
	for _, t := range j.have.failures() {
		if !t.Status.Timestamp.Equal(j.crashing.Last) {
			continue
		}
		v := failed(t, j.crashing.Times)
		f := failureOf(*j.want, v, c.remains(ctx, v))
		j.crashing.Reason, j.crashing.ExitCode, j.crashing.OOM = crash(v, f), f.ExitCode, f.OOM
		return
	}
}

// crash is how a container ended, in the words of a failure's sentence.
func crash(v verdict, f lain.Failure) string {
	switch {
	case v.cause == causeEnded || f.OOM:
		return end(f)
	case v.cause == causeSick:
		return "was healthy and then was not"
	}
	return "the engine does not start it: " + clip(v.words)
}

// tellCrashes logs when a proc begins to crash, when its delay grows, and when it is over.
func (c *Controller) tellCrashes(j *job, was *lain.Crashing) {
	switch now := j.crashing; {
	case now != nil && (was == nil || was.Delay != now.Delay):
		c.log.Warn("a proc crashes again and again", "proc", j.key, "reason", now.Reason, "times", now.Times, "delay", now.Delay.String())
	case now == nil && was != nil:
		c.log.Info("a proc crashes no more", "proc", j.key, "times", was.Times)
	}
}

// countCrashing answers: how many procs do not run because they crash?
//
//	lain_crashing_procs
func (c *Controller) countCrashing(key string, crashes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if crashes {
		c.crashing[key] = true
	} else {
		delete(c.crashing, key)
	}
	metrics.GetOrCreateGauge("lain_crashing_procs", nil).Set(float64(len(c.crashing)))
}
