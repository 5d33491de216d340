package gitserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/gitserver/hook"
)

// Options of a server. Zero values take the default that is named.
type Options struct {
	HostKeyDir string // where the host key is kept; made when missing
	UID        uint32 // whom git runs as, the same as in the store of repositories
	HookDir    string // core.hooksPath of the repositories: gets a copy of HookBinary
	HookBinary string // the program lain-hook
	HookSocket string // unix socket between git's hook and this process; its folder must be open to UID

	MaxUnauthenticated int           // connections that have not proved a key; 256
	MaxPerAddress      int           // of those, from one IPv4 address or IPv6 /64; 64
	MaxSessionsPerConn int           // at once; 16
	HandshakeTimeout   time.Duration // from the connection to a proved key, and from a channel to its command; 10 s
	IdleTimeout        time.Duration // of a connection without a session; 15 min
	KeepAlive          time.Duration // how often a client is asked whether it lives; 20 s. It has half as long again to answer
	Logger             *slog.Logger
}

func (o *Options) complete() {
	number := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	duration := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	number(&o.MaxUnauthenticated, 256)
	number(&o.MaxPerAddress, 64)
	number(&o.MaxSessionsPerConn, 16)
	duration(&o.HandshakeTimeout, 10*time.Second)
	duration(&o.IdleTimeout, 15*time.Minute)
	duration(&o.KeepAlive, 20*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if os.Geteuid() != 0 {
		o.UID = uint32(os.Geteuid())
	}
}

// Server is the SSH front door. It is safe for concurrent use.
type Server struct {
	o     Options
	log   *slog.Logger
	auth  Authenticator
	repos Repositories
	verbs Verbs
	ssh   *ssh.Server
	hooks *hook.Server
	gate  gate
	key   gossh.Signer

	base context.Context // of all sessions; ends with ErrStopping
	halt context.CancelCauseFunc

	mu        sync.Mutex
	stopping  bool
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	sessions  sync.WaitGroup // added to under mu, and only while not stopping
	serving   sync.WaitGroup // connections; likewise
}

// New makes the host key if there is none, puts git's hook in place, and listens for it. The caller ends
// it with Shutdown.
func New(o Options, auth Authenticator, repos Repositories, verbs Verbs) (*Server, error) {
	o.complete()
	key, err := hostKey(o.HostKeyDir)
	if err != nil {
		return nil, err
	}
	if err := installHook(o); err != nil {
		return nil, fmt.Errorf("put git's hook in place: %w", err)
	}
	hooks, err := hook.Listen(hook.Options{Socket: o.HookSocket, UID: o.UID, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, log: o.Logger, auth: auth, repos: repos, verbs: verbs, hooks: hooks, key: key,
		gate:      gate{max: o.MaxUnauthenticated, perAddress: o.MaxPerAddress},
		listeners: map[net.Listener]bool{}, conns: map[*conn]bool{}}
	s.base, s.halt = context.WithCancelCause(context.Background())
	s.ssh = s.library()
	return s, nil
}

// library sets up the SSH library: no handler but that of sessions, and that one ours.
func (s *Server) library() *ssh.Server {
	return &ssh.Server{
		Version:              "lain",
		HostSigners:          []ssh.Signer{s.key},
		PublicKeyHandler:     s.offered,
		ServerConfigCallback: s.config,
		ConnCallback: func(ctx ssh.Context, nc net.Conn) net.Conn {
			ctx.SetValue(connKey{}, nc)
			return nc
		},
		ChannelHandlers: map[string]ssh.ChannelHandler{"session": s.channel},
		RequestHandlers: map[string]ssh.RequestHandler{},
	}
}

// installHook copies the hook to where git's user can run it and cannot change it.
func installHook(o Options) error {
	if err := os.MkdirAll(o.HookDir, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(o.HookBinary)
	if err != nil {
		return err
	}
	return atomicfile.Ensure(filepath.Join(o.HookDir, hook.Name), data, 0o755)
}

// HostKeys are the fingerprints that clients see: "SHA256:...".
func (s *Server) HostKeys() []string {
	return []string{gossh.FingerprintSHA256(s.key.PublicKey())}
}

// HostPublicKeys are the host keys in the form of a known_hosts line, without the host.
func (s *Server) HostPublicKeys() []string {
	return []string{string(gossh.MarshalAuthorizedKey(s.key.PublicKey()))}
}

// Addr is where the server listens, or nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		return l.Addr()
	}
	return nil
}

// Serve takes connections until ctx ends or Shutdown is called, and closes l. It returns nil then; the
// connections live on, and Shutdown waits for them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if !s.track(l) {
		return l.Close()
	}
	defer s.untrack(l)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			s.log.Error("a connection could not be taken", "error", err)
			select { // out of descriptors, as a rule
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.take(nc)
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.listeners[l] = true
	}
	return !s.stopping
}

func (s *Server) untrack(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// take serves one connection in a goroutine of its own.
func (s *Server) take(nc net.Conn) {
	c := newConn(nc, s.o.HandshakeTimeout, s.o.IdleTimeout)
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.conns[c] = true
	s.serving.Add(1)
	s.mu.Unlock()
	if victim := s.gate.enter(c); victim != nil {
		_ = victim.Conn.Close()
	}
	go s.serve(c)
}

func (s *Server) serve(c *conn) {
	defer s.serving.Done()
	defer func() {
		s.recovered("connection", recover())
		_ = c.Conn.Close()
		c.stop()
		s.gate.leave(c)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	s.ssh.HandleConn(c)
}

// recovered logs a panic, so that it harms nobody but the one who caused it.
func (s *Server) recovered(where string, p any) {
	if p != nil {
		s.log.Error("panic", "where", where, "panic", p, "stack", string(debug.Stack()))
	}
}

// Shutdown takes no more connections and sessions and waits for the sessions that run. When ctx ends
// first, their contexts end (ErrStopping) and Shutdown waits ten seconds more. It then closes every
// connection. The error is ctx's when sessions had to be cut short.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	err := wait(ctx, &s.sessions)
	s.halt(ErrStopping)
	if err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, wait(late, &s.sessions))
	}
	return errors.Join(err, s.closeAll())
}

func (s *Server) closeAll() error {
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Conn.Close()
	}
	s.mu.Unlock()
	late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := wait(late, &s.serving); err != nil {
		return fmt.Errorf("connections do not end: %w", err)
	}
	return s.hooks.Close()
}

// wait waits for the group or for the end of ctx. Its goroutine ends with the group.
func wait(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		group.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
