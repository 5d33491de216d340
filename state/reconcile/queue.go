package reconcile

import (
	"sync"
	"time"
)

// queue holds the keys that are to be looked at, each once, in the order they came.
type queue struct {
	mu     sync.Mutex
	filled *sync.Cond // ready has grown, or the queue is closed
	ready  []string
	keys   map[string]*entry // all that are ready, busy, waiting or failing
	closed bool
}

// entry is one key's state. At most one of ready, busy and timer is set, but a busy one may be dirty.
type entry struct {
	ready    bool
	busy     bool
	dirty    bool        // asked for while busy
	failures int         // in a row
	timer    *time.Timer // set while it waits
}

func newQueue() *queue {
	q := &queue{keys: map[string]*entry{}}
	q.filled = sync.NewCond(&q.mu)
	return q
}

// add makes a key ready now, whatever it waits for.
func (q *queue) add(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.ask(key, q.entry(key))
	}
}

// remind makes a key ready unless it has a time of its own to come back: a full pass does not shorten
// the pauses of the failing.
func (q *queue) remind(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if e := q.entry(key); e.timer == nil {
		q.ask(key, e)
	}
}

// entry finds or makes it; mu is held.
func (q *queue) entry(key string) *entry {
	e := q.keys[key]
	if e == nil {
		e = &entry{}
		q.keys[key] = e
	}
	return e
}

// ask moves an entry on; mu is held.
func (q *queue) ask(key string, e *entry) {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	switch {
	case q.closed || e.ready:
	case e.busy:
		e.dirty = true
	default:
		e.ready = true
		q.ready = append(q.ready, key)
		q.filled.Signal()
	}
}

// take blocks for the next key, which is the caller's until done. It reports false once closed.
func (q *queue) take() (key string, failures int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return "", 0, false
	}
	key, q.ready = q.ready[0], q.ready[1:]
	e := q.keys[key]
	e.ready, e.busy = false, true
	return key, e.failures, true
}

// done gives a key back: ready at once if it was asked for meanwhile, else after a pause, if any.
func (q *queue) done(key string, failures int, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.keys[key]
	e.busy, e.failures = false, failures
	switch {
	case e.dirty:
		e.dirty = false
		q.ask(key, e)
	case pause > 0 && !q.closed:
		q.later(key, e, pause)
	default:
		delete(q.keys, key)
	}
}

// later arms the timer; mu is held, so that the timer is set before it can fire.
func (q *queue) later(key string, e *entry, pause time.Duration) {
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if e.timer == timer { // else it was stopped too late
			q.ask(key, e)
		}
	})
	e.timer = timer
}

// close lets take return false and stops the timers.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, e := range q.keys {
		if e.timer != nil {
			e.timer.Stop()
			e.timer = nil
		}
	}
	q.filled.Broadcast()
}
