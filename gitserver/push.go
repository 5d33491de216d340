package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"lain.internal/lain/gitserver/hook"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
)

// pushGrace is how long git receive-pack has to end by itself once the client is gone: it takes away what
// it received, which it would leave lying when killed.
const pushGrace = 3 * time.Second

// push runs git receive-pack. Rights are checked before it runs; what becomes of the refs is decided in
// Receive, which git's hook asks for. Both have ended when push returns.
func (h *channel) push(sess Session, app lain.AppName) int {
	r, err := h.s.repos.OpenPush(h.ctx, sess, app)
	if err != nil {
		return h.refuse(sess, app, err)
	}
	defer h.s.repos.ClosePush(sess, app)
	var received atomic.Bool
	ticket := h.s.hooks.Expect(h.ctx, func(ctx context.Context, req hook.Request) []hook.Answer {
		received.Store(true)
		return h.receive(ctx, sess, app, r, req)
	})
	defer ticket.Close()
	sio := h.serveIO(sess.Stdin, sess, ticket.Env()...)
	if r.Empty() {
		h.hintObjectFormat(&sio, sess, r)
	}
	last := &ending{w: sio.Stdout}
	sio.Stdout = last
	exit, err := r.ReceivePack(h.ctx, sio, pushGrace)
	if err != nil && !gone(err) {
		h.s.log.Warn("push", "app", app, "error", err)
	}
	if !received.Load() {
		_, _ = io.WriteString(sess.Stderr, last.hint())
	}
	return exit
}

// receive hands a push on, with a context that ends when nobody can be answered any more. For Receive it
// is the same whether the client, git or its hook went away.
func (h *channel) receive(hookCtx context.Context, sess Session, app lain.AppName, r *repo.Repository, req hook.Request) []Answer {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(hookCtx))
	defer cancel(nil)
	stop := context.AfterFunc(hookCtx, func() { cancel(goneCause(hookCtx)) })
	defer stop()
	return h.s.repos.Receive(ctx, Push{Session: sess, App: app, Repo: r,
		Commands: req.Commands, Options: req.Options, Atomic: req.Atomic, Progress: req.Progress})
}

func goneCause(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrStopping) {
		return ErrStopping
	}
	return ErrClientGone
}

// ending passes on what git says and keeps the end of it, where the fate of each ref stands. git has fixed
// words for refusals that never reach the hook, and some of them do not tell what to do.
type ending struct {
	w    io.Writer
	last []byte
}

func (e *ending) Write(p []byte) (int, error) {
	e.last = append(e.last, p[max(0, len(p)-maxEnding):]...)
	e.last = e.last[max(0, len(e.last)-maxEnding):]
	return e.w.Write(p)
}

// hint is what to do about a refusal of git's own; "" where its words are enough.
func (e *ending) hint() string {
	switch {
	case bytes.Contains(e.last, []byte("shallow update not allowed")):
		return "lain: your clone is shallow and lacks history that is not here either. Get it, and push again: git fetch --unshallow\n"
	case bytes.Contains(e.last, []byte("No space left on device")):
		return "lain: the server's disk is full, nothing was pushed; running applications are not touched\n"
	}
	return ""
}

// maxEnding has room for the line of a ref with the longest name.
const maxEnding = 2 << 10

// hintObjectFormat explains the one way to push that ends without a word: git's client hangs up when its
// repository is SHA-256 and the server's is SHA-1, and names neither. Its ssh outlives it by a moment, and
// shows our words only if it has nothing left to give to the dead git: so the advertisement, which ends
// git, goes out in one piece, and the hint is ready before.
func (h *channel) hintObjectFormat(sio *repo.ServeIO, sess Session, r *repo.Repository) {
	if format, err := r.ObjectFormat(h.ctx); err != nil || format != repo.SHA1 {
		return
	}
	hint := fmt.Sprintf("lain: nothing was pushed. A SHA-256 repository needs its app made first: ssh … apps create %s --object-format sha256\n", r.App())
	sio.Stdout = &inOnePiece{w: sio.Stdout}
	sio.Stdin = &expectant{r: sio.Stdin, disappointed: func() { _, _ = io.WriteString(sess.Stderr, hint) }}
}

// expectant reads, and says so when nothing at all came.
type expectant struct {
	r            io.Reader
	some         bool
	disappointed func()
}

func (e *expectant) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if n == 0 && err != nil && !e.some {
		e.disappointed()
	}
	e.some = true
	return n, err
}

// inOnePiece holds back what is written until it ends as git's advertisement does, with a flush packet.
// An empty repository's is some 200 bytes long.
type inOnePiece struct {
	w    io.Writer
	held []byte
	done bool
}

func (o *inOnePiece) Write(p []byte) (int, error) {
	if o.done {
		return o.w.Write(p)
	}
	o.held = append(o.held, p...)
	if bytes.HasSuffix(o.held, []byte("0000")) || len(o.held) > maxAdvertisement {
		o.done = true
		if _, err := o.w.Write(o.held); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// maxAdvertisement is more than git says of an empty repository.
const maxAdvertisement = 4 << 10
