package gitserver

import (
	"context"
	"errors"
	"io"
	"net"

	gossh "golang.org/x/crypto/ssh"

	"lain.internal/lain/gitserver/hook"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
)

// Why a session's context ended: its cause.
var (
	ErrClientGone = errors.New("the client is gone")
	ErrStopping   = errors.New("the server is stopping")
)

// Session is one command of one person. Its context ends when the client is gone, whether by hanging up,
// by dying, or by not answering for a minute.
type Session struct {
	Person         lain.Person
	Fingerprint    string // of the key that proved itself: "SHA256:..."
	Remote, Local  net.Addr
	Stdin          io.Reader      // io.EOF when the client sends no more
	Stdout, Stderr io.Writer      // with a terminal, newlines become carriage return and newline
	Raw            io.Writer      // standard output as it is
	Terminal       *lain.Terminal // nil: there is none at the other end
}

// Authenticator knows whose a key is. An unknown key is any error: the client learns nothing more.
type Authenticator interface {
	Person(ctx context.Context, key gossh.PublicKey) (lain.Person, error)
}

// Repositories decides about git. Errors of OpenRead and OpenPush are shown to the client: a *fault.Fault
// as it is, any other as an internal error.
type Repositories interface {
	// OpenRead gives the repository to fetch from, if the person may.
	OpenRead(ctx context.Context, s Session, app lain.AppName) (*repo.Repository, error)

	// OpenPush gives the repository to push to, if the person may. It is called before git runs and may
	// make the repository of a new application. Every success is followed by ClosePush.
	OpenPush(ctx context.Context, s Session, app lain.AppName) (*repo.Repository, error)

	// Receive answers every command of a push, whose objects are all there. It moves the refs itself,
	// before it answers. Its context ends when the client is gone (cause ErrClientGone) or the server must
	// stop (ErrStopping). It may go on then: the answers are dropped, and p.Progress fails. The session of
	// p stays in use until it returns.
	Receive(ctx context.Context, p Push) []Answer

	// ClosePush ends what OpenPush began, after both git and Receive have ended, however they did. Receive
	// may never have been called.
	ClosePush(s Session, app lain.AppName)
}

// Verbs runs every command that is not git's and returns its exit code. No arguments at all is what a
// client sends that wants a shell.
type Verbs interface {
	Run(ctx context.Context, s Session, args []string) (exit int)
}

// Push is what a client wants changed.
type Push struct {
	Session  Session
	App      lain.AppName
	Repo     *repo.Repository
	Commands []Command
	Options  []string  // push options, foreign text
	Atomic   bool      // all commands or none
	Progress io.Writer // the pusher's terminal, through git; blocks while the client does not read
}

// Command is one ref that is to change; Answer is what became of it.
type (
	Command = hook.Command
	Answer  = hook.Answer
)
