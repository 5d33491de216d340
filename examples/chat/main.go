// Command chat is a room where everybody hears what anybody says, over websockets. Its dependency is vendored before
// it is pushed (go mod vendor), so that its build needs no network.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const page = `<!doctype html><meta charset="utf-8"><title>Chat</title>
<h1>Hello from the chat!</h1><form><input autofocus> <button>Say</button></form><ul></ul>
<script>
const room = new WebSocket(location.href.replace(/^http/, 'ws') + 'room');
room.onmessage = m => document.querySelector('ul').appendChild(document.createElement('li')).textContent = m.data;
document.querySelector('form').onsubmit = e => { e.preventDefault(); room.send(document.querySelector('input').value); };
</script>
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	r := newRoom()
	server := &http.Server{Addr: ":" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: routes(r), ReadHeaderTimeout: 10 * time.Second}
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		r.close()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := <-drained; err != nil {
		log.Fatal(err)
	}
}

func routes(r *room) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /room", r.enter)
	return mux
}

var upgrader = websocket.Upgrader{}

// enter is one person's stay in the room.
func (r *room) enter(w http.ResponseWriter, req *http.Request) {
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return // the upgrader has answered
	}
	conn.SetReadLimit(4 << 10)
	if !r.join(conn) {
		_ = conn.Close()
		return
	}
	defer r.leave(conn)
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		r.say(text)
	}
}
