package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// drainTime is how long a stopping server waits for what is in flight, unless it is told otherwise.
const drainTime = 10 * time.Second

// app answers the requests.
type app struct {
	o       options
	host    string
	sockets *sockets
	sick    sickness
}

// serve answers on l until ctx ends, then drains.
func serve(ctx context.Context, l net.Listener, o options) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	a := &app{o: o, host: host, sockets: newSockets()}
	srv := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true) // for gRPC
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	err = a.drain(srv)
	<-ended
	return err
}

// drain closes the listener and idle connections, says goodbye to websockets, and waits for the rest.
func (a *app) drain(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(a.o.drain, drainTime))
	defer cancel()
	socketsGone := make(chan struct{})
	go func() {
		defer close(socketsGone)
		a.sockets.goAway(ctx)
	}()
	err := srv.Shutdown(ctx)
	<-socketsGone
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(errors.New("some requests were still in flight after the drain time"), srv.Close())
	}
	return err
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.index)
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("GET /ws", a.ws)
	mux.HandleFunc("GET /slow", a.slow)
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("POST /lain.Echo/Say", say)
	mux.HandleFunc("GET /env", env)
	mux.HandleFunc("GET /file", file)
	mux.HandleFunc("GET /fetch", fetch)
	mux.HandleFunc("GET /dial", dial)
	mux.HandleFunc("GET /log", logLines)
	return a.sick.over(mux)
}
