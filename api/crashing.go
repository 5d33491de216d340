package api

import (
	"fmt"
	"time"

	"lain.internal/lain/lain"
)

// procsSeen are the procs of the verb's application as the rollout saw them last.
func (c *call) procsSeen() ([]lain.ProcSeen, error) {
	items, _, err := c.API.seen.List(c, string(c.app)+"/")
	procs := make([]lain.ProcSeen, 0, len(items))
	for _, i := range items {
		procs = append(procs, i.Value)
	}
	return procs, err
}

// crashes are those procs that crash again and again.
func crashes(procs []lain.ProcSeen) map[lain.ProcName]*lain.Crashing {
	m := map[lain.ProcName]*lain.Crashing{}
	for _, p := range procs {
		if p.Crashing != nil {
			m[p.Proc] = p.Crashing
		}
	}
	return m
}

// crashLine is a sentence for a person, and the verb that shows more.
func crashLine(app lain.AppName, proc lain.ProcName, c lain.Crashing, now time.Time) string {
	then := fmt.Sprintf("next try within %s", c.Delay)
	if !c.Runs.IsZero() {
		then = "an instance runs again, for " + age(now, c.Runs)
	}
	return fmt.Sprintf("%s is crashing: %s, %s in %s; %s. See why: logs %s -p %s", proc, c.Reason, times(c.Times), age(now, c.Since), then, app, proc)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
