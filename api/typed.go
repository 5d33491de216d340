package api

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"

	"lain.internal/lain/gitserver"
)

// mostTyped is how many pieces of what a person types wait for the command that will read them.
const mostTyped = 1000

// typed is what a person types at a terminal while something is made for them. The terminal is raw, so that its Ctrl-C is a
// byte: as long as they wait it ends the waiting. All else is read from typed later, in its order.
type typed struct {
	pieces  chan piece
	waiting atomic.Bool
	rest    piece
}

type piece struct {
	data []byte
	err  error
}

// ctrlC is what that key sends.
const ctrlC = 3

// typed reads standard input from now on, until its error or the end of the session; nobody else may. interrupt is called at
// Ctrl-C until waited is.
func (c *call) typed(interrupt func()) *typed {
	t := &typed{pieces: make(chan piece, mostTyped)}
	t.waiting.Store(true)
	go t.listen(c, c.session.Stdin, interrupt)
	return t
}

// waited says that from now on Ctrl-C is for the command.
func (t *typed) waited() { t.waiting.Store(false) }

func (t *typed) listen(ctx context.Context, from io.Reader, interrupt func()) {
	defer close(t.pieces)
	for {
		p := make([]byte, 4096)
		n, err := from.Read(p)
		if t.waiting.Load() && bytes.IndexByte(p[:n], ctrlC) >= 0 {
			interrupt()
		}
		select {
		case t.pieces <- piece{p[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Read is io.Reader's. An error stays.
func (t *typed) Read(p []byte) (int, error) {
	for len(t.rest.data) == 0 {
		if t.rest.err != nil {
			return 0, t.rest.err
		}
		var more bool
		if t.rest, more = <-t.pieces; !more {
			t.rest.err = gitserver.ErrClientGone
		}
	}
	n := copy(p, t.rest.data)
	t.rest.data = t.rest.data[n:]
	return n, nil
}
