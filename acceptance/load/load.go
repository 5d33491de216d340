package load

import (
	"context"
	"sync"
	"time"
)

// Load is a running load.
type Load struct {
	o       Options
	cancel  context.CancelFunc
	done    sync.WaitGroup
	tally   *tally
	pool    pool
	payload payload
}

// Start begins to send, until ctx ends or Stop is called.
func Start(ctx context.Context, o Options) (*Load, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{o: o, cancel: cancel, tally: newTally(), payload: newPayload(o.PostBytes)}
	l.done.Add(1 + o.Sockets + o.Streams + o.Callers)
	go l.schedule(ctx)
	for i := range o.Sockets {
		go l.socket(ctx, i)
	}
	for range o.Streams {
		go l.stream(ctx)
	}
	for i := range o.Callers {
		go l.caller(ctx, i)
	}
	return l, nil
}

// Stop sends nothing more, waits for what is in flight, and returns the count. It may be called again.
func (l *Load) Stop() Result {
	l.cancel()
	l.done.Wait()
	l.pool.closeAll()
	return l.tally.result()
}

// Now returns the count so far; requests in flight are in Sent, but neither in OK nor in Lost.
func (l *Load) Now() Result { return l.tally.result() }

// schedule sends request i at start + i/rate. Being late (a busy machine) delays requests, but drops none.
func (l *Load) schedule(ctx context.Context) {
	defer l.done.Done()
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		timer.Reset(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(l.o.Rate))))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		l.tally.sent()
		l.done.Add(1)
		go l.one(i)
	}
}

// one sends request i and counts what became of it. It is not bound to the load's context: what was sent
// is waited for.
func (l *Load) one(i int) {
	defer l.done.Done()
	began := time.Now()
	version, err := l.send(l.request(i))
	l.tally.answered(version, time.Since(began), err)
}

// request is one request as it was planned.
type request struct {
	method, path string
	body         []byte
	keep         bool // use a kept-alive connection
}

// request plans the i-th: odd ones are kept alive, and POSTs alternate between both kinds too.
func (l *Load) request(i int) request {
	r := request{method: "GET", path: l.o.Path, keep: i%2 == 1}
	if n := l.o.PostEvery; n > 0 && i%n == n-1 {
		r.method, r.path, r.body, r.keep = "POST", l.o.PostPath, l.payload.body, (i/n)%2 == 1
	}
	return r
}

func (l *Load) send(r request) (version string, err error) {
	deadline := time.Now().Add(l.o.Timeout)
	c, err := l.connection(r.keep, deadline)
	if err != nil {
		return "", err
	}
	answer, err := c.exchange(r, l.o.Host, deadline)
	if err != nil || !r.keep || answer.last {
		_ = c.Close()
	} else {
		l.pool.put(c)
	}
	if err != nil {
		return "", err
	}
	return l.judge(r, answer)
}

func (l *Load) connection(keep bool, deadline time.Time) (*conn, error) {
	if keep {
		if c := l.pool.get(); c != nil {
			return c, nil
		}
	}
	return dial(l.o.Addr, deadline)
}
