package gitserver

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// gate holds the connections that have not proved a key yet, the oldest first. Their number is limited;
// when one more comes, the oldest of the address that holds the most places is closed, since a client
// that means it proves its key within a moment. So whoever holds connections open pushes out his own.
type gate struct {
	max, perAddress int

	mu      sync.Mutex
	waiting []*conn
}

// enter takes in a connection and returns the one to be closed for it, if any.
func (g *gate) enter(c *conn) *conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	count := map[netip.Prefix]int{}
	most := c.from
	for _, w := range g.waiting {
		count[w.from]++
		if count[w.from] > count[most] {
			most = w.from
		}
	}
	switch {
	case count[c.from] > g.perAddress:
		return g.evict(c.from)
	case len(g.waiting) > g.max:
		return g.evict(most)
	default:
		return nil
	}
}

func (g *gate) evict(from netip.Prefix) *conn {
	i := slices.IndexFunc(g.waiting, func(c *conn) bool { return c.from == from })
	victim := g.waiting[i]
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return victim
}

// leave takes a connection out: it proved a key, or is over. A second call does nothing.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, c); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// origin is what counts as one address: an IPv4 address, or an IPv6 /64, which one customer has whole.
func origin(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.WithZone("").Prefix(bits)
	return p
}

// conn is a client's connection. Until a key is proved, no deadline can be set later than the one that
// the handshake has: the SSH library sets its own at each read and write. Afterwards the connection is
// closed when it had no session for a while.
type conn struct {
	net.Conn
	from     netip.Prefix
	deadline time.Time // of the handshake
	idle     time.Duration
	watch    sync.Once // starts the keep-alive

	heard atomic.Int64 // when the client last sent something, Unix ns

	mu       sync.Mutex
	proven   bool
	sessions int
	timer    *time.Timer // closes an idle connection
}

// Read notes that the client lives.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Store(time.Now().UnixNano())
	return n, err
}

// silence is how long nothing has come from the client.
func (c *conn) silence() time.Duration { return time.Since(time.Unix(0, c.heard.Load())) }

func newConn(nc net.Conn, handshake, idle time.Duration) *conn {
	c := &conn{Conn: nc, from: origin(nc.RemoteAddr()), deadline: time.Now().Add(handshake), idle: idle}
	_ = nc.SetDeadline(c.deadline)
	return c
}

func (c *conn) clamp(t time.Time) time.Time {
	if !c.proven && (t.IsZero() || t.After(c.deadline)) {
		return c.deadline
	}
	return t
}

// SetDeadline sets both deadlines, within that of the handshake.
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.SetDeadline(c.clamp(t))
}

// SetReadDeadline sets the deadline of reads, within that of the handshake.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.SetReadDeadline(c.clamp(t))
}

// SetWriteDeadline sets the deadline of writes, within that of the handshake.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.SetWriteDeadline(c.clamp(t))
}

// prove lifts the deadline of the handshake.
func (c *conn) prove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proven {
		return
	}
	c.proven = true
	_ = c.Conn.SetDeadline(time.Time{})
	c.timer = time.AfterFunc(c.idle, func() { _ = c.Conn.Close() })
}

// begin counts a session in, unless there are max already.
func (c *conn) begin(max int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions >= max {
		return false
	}
	c.sessions++
	c.timer.Stop()
	return true
}

// end counts a session out.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions--
	if c.sessions == 0 {
		c.timer.Reset(c.idle)
	}
}

// closeWhenSilent closes the connection once nothing has come for so long, until it is stopped.
func (c *conn) closeWhenSilent(patience time.Duration) (stop func()) {
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for left := patience; left > 0; left = patience - c.silence() {
			select {
			case <-done:
				return
			case <-time.After(left):
			}
		}
		_ = c.Conn.Close()
	})
	return func() {
		close(done)
		watch.Wait()
	}
}

// stop releases the timer of a connection that is over.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
