package router

import (
	"time"

	"lain.internal/lain/router/nginx"
)

// pace says when the next pass may be: at once after a rest, then at most so often, and ever more seldom
// while it fails or while nginx dies of its start.
type pace struct {
	dirty     bool // there is something to do
	tell      bool // a record has changed since the last pass that succeeded
	notBefore time.Time
	failures  int   // passes that failed in a row
	deaths    int   // early deaths of nginx in a row
	err       error // of the last pass

	mourned map[*nginx.Server]int // pid of each whose death was counted last
}

// timer fires when a pass that has to wait may begin; nil when there is none.
func (p *pace) timer() <-chan time.Time {
	if !p.dirty {
		return nil
	}
	return time.After(time.Until(p.notBefore))
}

func (p *pace) ready(now time.Time) bool { return p.dirty && !now.Before(p.notBefore) }

// done notes how a pass went and sets the time of the next. What failed stays to be done.
func (p *pace) done(err error, apps int) {
	now := time.Now()
	p.err = err
	if err != nil {
		p.failures++
		p.notBefore = now.Add(backoff(p.failures))
		return
	}
	p.dirty, p.tell, p.failures = false, false, 0
	p.notBefore = now.Add(idle)
	if apps > manyApps {
		p.notBefore = now.Add(idleOfMany)
	}
}

// died reports whether nginx is gone. A first death brings it back at once; one soon after a start waits.
func (p *pace) died(n *nginx.Server) bool {
	if n.Alive() {
		return false
	}
	if last := n.LastPID(); last != p.mourned[n] {
		p.mourned[n] = last
		p.deaths++
		if n.Age() > stableAfter {
			p.deaths = 1
		}
		if p.deaths > 1 {
			p.notBefore = time.Now().Add(backoff(p.deaths))
		}
	}
	return true
}

// backoff doubles from 200 ms.
func backoff(n int) time.Duration {
	return min(longestWait, 100*time.Millisecond<<min(n, 10))
}
