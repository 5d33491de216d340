package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// sockets is the set of open websockets. Shutdown of the HTTP server does not see them: they were hijacked.
type sockets struct {
	mu      sync.Mutex
	open    map[*socket]bool
	leaving bool
	wg      sync.WaitGroup
}

// socket is one websocket. Its lock keeps an answer and the goodbye from being written at once.
type socket struct {
	mu   sync.Mutex
	conn *websocket.Conn
}

func newSockets() *sockets { return &sockets{open: map[*socket]bool{}} }

// add takes a socket into the set; false where the server is leaving already.
func (s *sockets) add(c *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.open[c] = true
	s.wg.Add(1)
	return true
}

func (s *sockets) remove(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.wg.Done()
}

// goAway sends every socket a close frame and returns when their handlers have ended: when the clients have
// answered it, or ctx has.
func (s *sockets) goAway(ctx context.Context) {
	s.mu.Lock()
	s.leaving = true
	deadline, _ := ctx.Deadline()
	for c := range s.open {
		c.goodbye()
		_ = c.conn.SetReadDeadline(deadline)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (c *socket) goodbye() {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "going away")
	_ = c.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
}

func (c *socket) answer(kind int, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.WriteMessage(kind, message)
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

// ws echoes until the client goes. After our goodbye it only reads on, until the client has answered that.
func (a *app) ws(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer conn.Close()
	c := &socket{conn: conn}
	if !a.sockets.add(c) {
		c.goodbye()
		return
	}
	defer a.sockets.remove(c)
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := c.answer(kind, message); err != nil && !errors.Is(err, websocket.ErrCloseSent) {
			return
		}
	}
}
