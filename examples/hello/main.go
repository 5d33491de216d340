// Command hello is a small application, to be pushed: a web server that greets and signs what it says with a key
// from a secret file, and, as "hello work", a worker beside it.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
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

// keyFile is where lain.yaml (secret_files) has the signing key put.
const keyFile = "/lain/app/conf/signing.key"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "work" {
		work(ctx, time.Minute)
		return
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, ":"+cmp.Or(os.Getenv("PORT"), "8080"), routes(key, os.Getenv("HELLO_NAME"))); err != nil {
		log.Fatal(err)
	}
}

// work says that it is there, until ctx ends.
func work(ctx context.Context, every time.Duration) {
	log.Print("working")
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
			log.Print("still working")
		}
	}
}

// serve answers on addr until ctx ends, then finishes what is in flight.
func serve(ctx context.Context, addr string, h http.Handler) error {
	server := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}
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

func routes(key []byte, name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { greet(w, key, name) })
	mux.HandleFunc("GET /healthz", healthz)
	return mux
}

func greet(w http.ResponseWriter, key []byte, name string) {
	text := greeting
	if name != "" {
		text = fmt.Sprintf("%s (to %s)", greeting, name)
	}
	host, _ := os.Hostname() // "" is no reason not to greet
	fmt.Fprintf(w, "%s\nserved by %s\nsigned %.8x\n", text, host, sign(key, text))
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
