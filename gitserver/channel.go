package gitserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"lain.internal/lain/lain"
)

// gitProtocol is what a client may say in GIT_PROTOCOL, the one variable that is taken.
var gitProtocol = regexp.MustCompile(`^[a-z0-9=:.-]{1,64}$`)

// maxRequests bounds what a client may ask on a channel before and beside its command.
const maxRequests = 1000

// channel serves one session channel: it gathers what the client says about it, runs its one command in
// a goroutine, and notices when the client lets go of it. (The library's own handler keeps any number of
// variables, grants agent forwarding, and can be made to panic by a crafted terminal request.)
type channel struct {
	s     *Server
	ssh   *gossh.ServerConn
	ch    gossh.Channel
	ready *time.Timer // closes a channel that never says what it wants

	ctx    context.Context
	cancel context.CancelCauseFunc

	protocol string // GIT_PROTOCOL
	pty      bool
	terminal lain.Terminal
	started  bool
	raw      string // the command
	refused  bool   // the server is stopping: the session is not counted
	running  sync.WaitGroup
	closed   chan struct{} // when the client has closed its side too
}

// channel is the library's handler of a new channel, called in a goroutine of its own.
func (s *Server) channel(_ *ssh.Server, sc *gossh.ServerConn, offer gossh.NewChannel, ctx ssh.Context) {
	defer func() { s.recovered("channel", recover()) }()
	c := ctx.Value(connKey{}).(*conn)
	if !c.begin(s.o.MaxSessionsPerConn) {
		_ = offer.Reject(gossh.ResourceShortage, "too many sessions on this connection")
		return
	}
	defer c.end()
	c.watch.Do(func() { s.serving.Go(func() { s.keepAlive(c, sc) }) })
	ch, requests, err := offer.Accept()
	if err != nil {
		return
	}
	h := &channel{s: s, ssh: sc, ch: ch, closed: make(chan struct{}), terminal: lain.Terminal{Resized: make(chan lain.TerminalSize, 1)}}
	h.ctx, h.cancel = context.WithCancelCause(s.base)
	h.ready = time.AfterFunc(s.o.HandshakeTimeout, func() { _ = ch.Close() })
	h.serve(requests)
}

// serve answers requests until the channel is closed, by either side, or the connection is.
func (h *channel) serve(requests <-chan *gossh.Request) {
	defer h.ready.Stop()
	n := 0
	for r := range requests {
		if r.Type != "window-change" { // of which a person makes many by pulling at a corner
			n++
		}
		if n > maxRequests {
			_ = h.ch.Close()
		}
		ok := n <= maxRequests && h.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if ok && (r.Type == "exec" || r.Type == "shell") {
			h.running.Go(h.run)
		}
	}
	close(h.closed)
	h.cancel(ErrClientGone)
	_ = h.ch.Close()
	h.running.Wait()
}

func (h *channel) request(r *gossh.Request) bool {
	switch r.Type {
	case "env":
		return h.env(r.Payload)
	case "pty-req":
		return h.terminalRequest(r.Payload)
	case "window-change":
		return h.resize(r.Payload)
	case "exec", "shell":
		return h.begin(r)
	case "signal":
		h.cancel(ErrClientGone)
		return true
	default: // subsystem, auth-agent-req, x11-req and whatever else there is
		return false
	}
}

func (h *channel) env(payload []byte) bool {
	var v struct{ Name, Value string }
	if gossh.Unmarshal(payload, &v) != nil || h.started || v.Name != "GIT_PROTOCOL" || !gitProtocol.MatchString(v.Value) {
		return false
	}
	h.protocol = v.Value
	return true
}

// terminalName is what a terminal may be called (terminfo(5)).
var terminalName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,63}$`)

// terminalRequest takes a terminal of a client (RFC 4254, section 6.2). Its modes are not taken: it stays in the
// client's hands.
func (h *channel) terminalRequest(payload []byte) bool {
	var v struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if gossh.Unmarshal(payload, &v) != nil || h.started || h.pty {
		return false
	}
	h.pty, h.terminal.Size = true, sizeOf(v.Columns, v.Rows)
	if terminalName.MatchString(v.Term) {
		h.terminal.Name = v.Term
	}
	return true
}

// resize tells the command of another size. Of several that it has not asked for yet the last counts.
func (h *channel) resize(payload []byte) bool {
	var v struct{ Columns, Rows, Width, Height uint32 }
	if !h.pty || gossh.Unmarshal(payload, &v) != nil {
		return false
	}
	select {
	case <-h.terminal.Resized:
	default:
	}
	h.terminal.Resized <- sizeOf(v.Columns, v.Rows) // nobody else sends
	return true
}

func sizeOf(columns, rows uint32) lain.TerminalSize {
	return lain.TerminalSize{Columns: int(min(columns, 1000)), Rows: int(min(rows, 1000))}
}

// run runs the command and ends the channel with its exit code. Whatever goes wrong in it stays in it.
func (h *channel) run() {
	if !h.refused {
		defer h.s.sessions.Done()
	}
	exit := 70
	func() {
		defer func() { h.s.recovered("session", recover()) }()
		exit = h.command()
	}()
	_, _ = h.ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Code uint32 }{uint32(exit)}))
	_ = h.ch.Close()
	select { // Shutdown closes the connection once the session is over: not before the client has read all
	case <-h.closed:
	case <-time.After(lingerTimeout):
	}
}

// lingerTimeout is how long a client may take to close a channel whose command has ended.
const lingerTimeout = 2 * time.Second

// writers are where the command's output goes.
func (h *channel) writers() (stdout, stderr io.Writer) {
	if !h.pty {
		return h.ch, h.ch.Stderr()
	}
	return newlines{h.ch}, newlines{h.ch.Stderr()}
}

// input is what a client sends. The library ends it in the same way when the client has sent all and when the connection
// breaks in the middle; so the end counts when the client still answers behind it, and is ErrClientGone when not.
type input struct{ ch gossh.Channel }

func (in input) Read(p []byte) (int, error) {
	n, err := in.ch.Read(p)
	if n == 0 && errors.Is(err, io.EOF) {
		if _, lost := in.ch.SendRequest("keepalive@openssh.com", true, nil); lost != nil {
			return 0, ErrClientGone
		}
	}
	return n, err
}

// newlines adds the carriage return that a terminal in raw mode needs.
type newlines struct{ w io.Writer }

func (n newlines) Write(p []byte) (int, error) {
	q := bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n"))
	if _, err := n.w.Write(bytes.ReplaceAll(q, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// keepAlive asks the client from time to time whether it is there, and closes the connection when neither
// an answer nor anything else comes: on a slow line the answer waits behind a pack. It ends with the
// connection.
func (s *Server) keepAlive(c *conn, sc *gossh.ServerConn) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sc.Wait()
	}()
	patience := s.o.KeepAlive + s.o.KeepAlive/2
	for {
		select {
		case <-ended:
			return
		case <-time.After(s.o.KeepAlive):
		}
		stop := c.closeWhenSilent(patience)
		_, _, err := sc.SendRequest("keepalive@openssh.com", true, nil)
		stop()
		if err != nil && !errors.Is(err, io.EOF) {
			s.log.Debug("a client does not answer", "remote", sc.RemoteAddr().String(), "error", err)
		}
	}
}
