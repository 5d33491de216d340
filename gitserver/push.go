package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	ticket := h.s.hooks.Expect(h.ctx, func(ctx context.Context, req hook.Request) []hook.Answer {
		return h.receive(ctx, sess, app, r, req)
	})
	defer ticket.Close()
	stdin := &expectant{r: sess.Stdin, disappointed: h.objectFormatHint(sess, r)}
	exit, err := r.ReceivePack(h.ctx, h.serveIO(stdin, sess, ticket.Env()...), pushGrace)
	if err != nil && !gone(err) {
		h.s.log.Warn("push", "app", app, "error", err)
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

// objectFormatHint explains the one way to push that ends without a word: git's client hangs up when its
// repository is SHA-256 and the server's is SHA-1, and names neither. It is ready before git runs, since
// the client's ssh outlives its git by a moment only: on a busy machine the hint may come too late.
func (h *channel) objectFormatHint(sess Session, r *repo.Repository) func() {
	if !r.Empty() {
		return func() {}
	}
	if format, err := r.ObjectFormat(h.ctx); err != nil || format != repo.SHA1 {
		return func() {}
	}
	return func() {
		fmt.Fprintf(sess.Stderr, "lain: nothing was pushed. A SHA-256 repository needs its app made first: ssh … apps create %s --object-format sha256\n", r.App())
	}
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
