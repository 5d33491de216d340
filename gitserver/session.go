package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"lain.internal/lain/gitserver/command"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// gitFailed is how git's own programs exit when they cannot go on.
const gitFailed = 128

// begin takes the one command of a channel. The session it becomes is counted here, so that Shutdown
// waits for it.
func (h *channel) begin(r *gossh.Request) bool {
	var v struct{ Command string }
	if h.started || r.Type == "exec" && gossh.Unmarshal(r.Payload, &v) != nil {
		return false
	}
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.started = true
	h.ready.Stop()
	h.raw, h.refused = v.Command, h.s.stopping
	if !h.refused {
		h.s.sessions.Add(1)
	}
	return true
}

// command finds the person and does what was asked. It returns the exit code.
func (h *channel) command() int {
	sess := h.session()
	if h.refused {
		show(sess.Stderr, fault.New(fault.Unavailable, "the server is restarting").WithHint("Try again in a moment."))
		return 75
	}
	key, ok := h.ssh.Permissions.ExtraData[provenKey{}].(gossh.PublicKey)
	if !ok {
		return 70
	}
	person, err := h.person(key)
	if err != nil {
		show(sess.Stderr, fault.Hide(fault.Denied, err, "your key is not known here any more"))
		return 77
	}
	sess.Person, sess.Fingerprint = person, gossh.FingerprintSHA256(key)
	c, err := command.Parse(h.raw)
	if err != nil {
		show(sess.Stderr, err)
		return gitExit(c, fault.ExitCode(err))
	}
	return h.logged(sess, c)
}

// gitExit is the exit code of a refusal.
func gitExit(c command.Command, verb int) int {
	if c.Service == command.Verb {
		return verb
	}
	return gitFailed
}

func (h *channel) session() Session {
	sess := Session{Remote: h.ssh.RemoteAddr(), Local: h.ssh.LocalAddr(), Stdin: h.ch, Raw: h.ch}
	sess.Stdout, sess.Stderr = h.writers()
	if h.pty {
		sess.Terminal = &h.terminal
	}
	return sess
}

// person asks again whose the key is, since it may have been removed while the connection was open.
func (h *channel) person(key gossh.PublicKey) (lain.Person, error) {
	ctx, cancel := context.WithTimeout(h.ctx, lookupTimeout)
	defer cancel()
	return h.s.auth.Person(ctx, key)
}

// logged runs the command and notes that it ran. Of a verb's arguments only the first is noted.
func (h *channel) logged(sess Session, c command.Command) int {
	begun := time.Now()
	exit := h.dispatch(sess, c)
	what := map[command.Service]string{command.UploadPack: "fetch", command.ReceivePack: "push"}[c.Service]
	if len(c.Args) > 0 {
		what = c.Args[0]
	}
	h.s.log.Info("session", "person", sess.Person, "remote", sess.Remote.String(), "command", what,
		"app", c.App, "exit", exit, "took", time.Since(begun).Round(time.Millisecond))
	return exit
}

func (h *channel) dispatch(sess Session, c command.Command) int {
	switch c.Service {
	case command.UploadPack:
		return h.fetch(sess, c.App)
	case command.ReceivePack:
		return h.push(sess, c.App)
	default:
		sess.Stdin = input{h.ch}
		return h.s.verbs.Run(h.ctx, sess, c.Args)
	}
}

func (h *channel) fetch(sess Session, app lain.AppName) int {
	r, err := h.s.repos.OpenRead(h.ctx, sess, app)
	if err != nil {
		return h.refuse(sess, app, err)
	}
	exit, err := r.UploadPack(h.ctx, h.serveIO(sess.Stdin, sess))
	if err != nil {
		h.s.log.Warn("fetch", "app", app, "error", err)
	}
	return exit
}

func (h *channel) serveIO(stdin io.Reader, sess Session, env ...string) repo.ServeIO {
	if h.protocol != "" {
		env = append(env, "GIT_PROTOCOL="+h.protocol)
	}
	return repo.ServeIO{Stdin: stdin, Stdout: sess.Stdout, Stderr: sess.Stderr, Env: env}
}

// refuse shows why git does not run at all.
func (h *channel) refuse(sess Session, app lain.AppName, err error) int {
	if fault.Of(err).Kind == fault.Internal {
		h.s.log.Error("repository", "app", app, "error", err)
	}
	show(sess.Stderr, err)
	return gitFailed
}

// show tells the client an error: its sentence, then its hint.
func show(w io.Writer, err error) {
	f := fault.Of(err)
	var b strings.Builder
	fmt.Fprintf(&b, "lain: %s\n", f.Error())
	for line := range strings.Lines(f.Hint) {
		fmt.Fprintf(&b, "lain: %s\n", strings.TrimSuffix(line, "\n"))
	}
	_, _ = io.WriteString(w, b.String())
}

// gone reports whether err only says that the session is over.
func gone(err error) bool {
	return errors.Is(err, ErrClientGone) || errors.Is(err, ErrStopping)
}
