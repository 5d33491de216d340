package hook

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone is the cause with which a decision's context ends when git or its hook ended before the answer.
var ErrGone = errors.New("git ended before its push was answered")

// Decide answers the commands of one push. Its context ends, with a cause, when nobody waits for the
// answer any more. It may go on then; Progress fails and the answers are dropped.
type Decide func(ctx context.Context, r Request) []Answer

// Options of a server.
type Options struct {
	Socket string // path of the unix socket; its folder exists and is open to UID
	UID    uint32 // git's user, the only one who may connect
	Logger *slog.Logger
}

// Server listens for hooks. It is safe for concurrent use.
type Server struct {
	o        Options
	listener *net.UnixListener
	running  sync.WaitGroup

	mu      sync.Mutex
	tickets map[*Ticket]bool
}

// Listen takes over the socket. The caller closes the server.
func Listen(o Options) (*Server, error) {
	if err := os.Remove(o.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket of the hooks: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket of the hooks: %w", err)
	}
	if err := protect(o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{o: o, listener: l, tickets: map[*Ticket]bool{}}
	s.running.Go(s.accept)
	return s, nil
}

func protect(o Options) error {
	if err := os.Chmod(o.Socket, 0o600); err != nil {
		return fmt.Errorf("socket of the hooks: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	if err := os.Chown(o.Socket, int(o.UID), -1); err != nil {
		return fmt.Errorf("socket of the hooks: %w", err)
	}
	return nil
}

// Close takes no further hooks and waits for those that are there: close their tickets first. A second
// call does nothing.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Ticket is a push whose hook is expected.
type Ticket struct {
	s      *Server
	ctx    context.Context
	decide Decide
	token  string
	done   chan struct{} // set when a hook came; closed when it was dealt with
}

// Expect lets one hook connect that knows the ticket's token; decide is called for it. The caller closes
// the ticket. When ctx ends, the hook is told to exit with 1.
func (s *Server) Expect(ctx context.Context, decide Decide) *Ticket {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	t := &Ticket{s: s, ctx: ctx, decide: decide, token: hex.EncodeToString(secret[:])}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets[t] = true
	return t
}

// Env is what git's environment must hold for the hook to find its way.
func (t *Ticket) Env() []string {
	return []string{SocketEnv + "=" + t.s.o.Socket, TokenEnv + "=" + t.token}
}

// Close lets no hook in any more and waits for a decision that is being made.
func (t *Ticket) Close() {
	t.s.mu.Lock()
	delete(t.s.tickets, t)
	done := t.done
	t.s.mu.Unlock()
	if done != nil {
		<-done
	}
}

// claim finds the ticket of a token and uses it up. All tickets are looked at, each in constant time.
func (s *Server) claim(token []byte) *Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *Ticket
	for t := range s.tickets {
		if subtle.ConstantTimeCompare([]byte(t.token), token) == 1 {
			found = t
		}
	}
	if found != nil {
		delete(s.tickets, found)
		found.done = make(chan struct{})
	}
	return found
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.o.Logger.Error("a hook could not connect", "error", err)
			time.Sleep(50 * time.Millisecond) // out of descriptors: nothing else to wait for
			continue
		}
		s.running.Go(func() { s.serve(conn) })
	}
}

func (s *Server) serve(conn *net.UnixConn) {
	defer conn.Close()
	t, err := s.greet(conn)
	if err != nil {
		s.o.Logger.Warn("a hook was turned away", "error", err)
		return
	}
	defer close(t.done)
	newCall(t, conn, s.o.Logger).run()
}

// greet finds out which push the hook belongs to.
func (s *Server) greet(conn *net.UnixConn) (*Ticket, error) {
	if err := s.checkPeer(conn); err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	k, token, err := readFrame(conn, make([]byte, 256))
	if err != nil || k != frameHello {
		return nil, errors.Join(errFrame, err)
	}
	t := s.claim(token)
	if t == nil {
		return nil, errors.New("its token belongs to no push that waits")
	}
	return t, conn.SetReadDeadline(time.Time{})
}

func (s *Server) checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	ctlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(ctlErr, err); err != nil {
		return fmt.Errorf("who is at the hook's socket: %w", err)
	}
	if peer.Uid != s.o.UID {
		return fmt.Errorf("uid %d is at the hook's socket, not git's %d", peer.Uid, s.o.UID)
	}
	return nil
}

// call is one hook being served.
type call struct {
	t      *Ticket
	conn   *net.UnixConn
	out    *frameWriter
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func newCall(t *Ticket, conn *net.UnixConn, log *slog.Logger) *call {
	ctx, cancel := context.WithCancelCause(t.ctx)
	return &call{t: t, conn: conn, out: &frameWriter{w: conn}, log: log, ctx: ctx, cancel: cancel}
}

// run speaks with the hook until it is answered. A second goroutine reads all along, so that the hook's
// end is noticed while the decision is made.
func (c *call) run() {
	stdin, fill := io.Pipe()
	var reading sync.WaitGroup
	reading.Go(func() { c.read(fill) })
	stop := context.AfterFunc(c.ctx, c.hangUp)
	code := c.answer(stdin)
	if stop() {
		_ = c.out.frame(frameExit, []byte{code})
	}
	_ = c.conn.Close()
	reading.Wait()
	c.cancel(nil)
}

// hangUp tells the hook to give up. The deadline frees a write that is stuck before a client who does not
// read.
func (c *call) hangUp() {
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.out.frame(frameExit, []byte{1})
	_ = c.conn.Close()
}

func (c *call) read(fill *io.PipeWriter) {
	buf := make([]byte, maxFrame)
	for {
		k, p, err := readFrame(c.conn, buf)
		switch {
		case err != nil:
			fill.CloseWithError(io.ErrUnexpectedEOF)
			c.cancel(ErrGone)
			return
		case k == frameStdin:
			_, _ = fill.Write(p) // fails once the request is read whole: nothing more is of interest
		case k == frameStdinEnd:
			_ = fill.Close()
		}
	}
}

func (c *call) answer(stdin *io.PipeReader) (code byte) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a push's decision panicked", "panic", p, "stack", stack())
			code = 1
		}
	}()
	p := newProtocol(stdin, stream{c.out, frameStdout})
	r, err := p.request()
	_ = stdin.Close()
	if err != nil {
		c.log.Warn("a hook was not understood", "error", err)
		fmt.Fprintf(stream{c.out, frameStderr}, "lain: %s\n", Clean(err.Error()))
		return 1
	}
	r.Progress = stream{c.out, frameStderr}
	if err := p.answer(r, c.t.decide(c.ctx, r)); err != nil {
		c.log.Warn("a push's answer did not reach git", "error", err)
		return 1
	}
	return 0
}
