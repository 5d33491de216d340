// Command procs is an application of three procs, to be pushed: "serve" answers, "work" works beside it, and
// "migrate" runs once, before a release takes over.
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

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		switch args[0] {
		case "migrate":
			log.Printf("the data is ready for %s", os.Getenv("LAIN_RELEASE"))
			return nil
		case "work":
			work(ctx)
			return nil
		case "serve":
			return serve(ctx)
		}
	}
	return fmt.Errorf("usage: procs migrate|serve|work")
}

func work(ctx context.Context) {
	for ctx.Err() == nil {
		log.Print("working")
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
	}
}

func serve(ctx context.Context) error {
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "Hello from three procs!")
	})
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Addr: ":" + cmp.Or(os.Getenv("PORT"), "8080"), ReadHeaderTimeout: 10 * time.Second}
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return <-drained
}
