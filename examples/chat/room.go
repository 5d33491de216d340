package main

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// room is everybody who is connected. Who does not listen is put out.
type room struct {
	mu     sync.Mutex
	people map[*websocket.Conn]bool
	closed bool
}

func newRoom() *room { return &room{people: map[*websocket.Conn]bool{}} }

func (r *room) join(c *websocket.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.people[c] = true
	}
	return !r.closed
}

func (r *room) leave(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.people, c)
	_ = c.Close()
}

// say tells everybody, one after the other: a connection takes one writer at a time.
func (r *room) say(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.people {
		_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if c.WriteMessage(websocket.TextMessage, text) != nil {
			_ = c.Close() // its reader sees that, and leaves
		}
	}
}

// close tells everybody to come back, which a browser's page may do at once: another instance serves by then.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the server is replaced")
	for c := range r.people {
		_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	}
}
