// Command hello is a small web server, to be pushed: it greets, and answers /healthz.
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
)

// greeting is what a visitor reads. Change it, commit, push.
const greeting = "Hello from Lain!"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, ":"+cmp.Or(os.Getenv("PORT"), "8080")); err != nil {
		log.Fatal(err)
	}
}

// serve answers on addr until ctx ends, then finishes what is in flight.
func serve(ctx context.Context, addr string) error {
	server := &http.Server{Addr: addr, Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- server.Shutdown(grace)
	}()
	log.Printf("listening on %s", addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return <-drained
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /healthz", healthz)
	return mux
}

func index(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname() // "" is no reason not to greet
	fmt.Fprintf(w, "%s\nserved by %s\n", greeting, host)
}

func healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
