package load

import (
	"fmt"
	"time"
)

// Options says what load is wanted. The zero value of each field but Addr has a use.
type Options struct {
	Addr        string        // host:port to connect to
	Host        string        // Host header; "": Addr
	Rate        int           // requests per second; 0: 200
	Path        string        // of GETs; "": "/"
	PostPath    string        // of POSTs; "": "/echo"
	PostEvery   int           // each so many requests one is a POST; 0: none
	PostBytes   int           // size of a POST's body; 0: 1 MB
	SocketPath  string        // of websockets; "": "/ws"
	Sockets     int           // number of websockets
	SocketEvery time.Duration // between a websocket's messages; 0: 100 ms
	StreamPath  string        // of streamed answers; "": "/stream"
	Streams     int           // number of streamed answers on their way at a time

	StreamSeconds int           // length of each; 0: 60
	CallAddr      string        // host:port of HTTP/2 without TLS; needed with Callers
	Callers       int           // connections with calls of gRPC, one call at a time on each
	CallEvery     time.Duration // between the calls of one; 0: 20 ms

	Timeout time.Duration // until a request without its whole answer is lost; 0: 10 s
}

func (o Options) filled() (Options, error) {
	if o.Addr == "" {
		return o, fmt.Errorf("load needs an address")
	}
	fill(&o.Host, o.Addr)
	fill(&o.Rate, 200)
	fill(&o.Path, "/")
	fill(&o.PostPath, "/echo")
	fill(&o.PostBytes, 1_000_000)
	fill(&o.SocketPath, "/ws")
	fill(&o.SocketEvery, 100*time.Millisecond)
	fill(&o.StreamPath, "/stream")
	fill(&o.StreamSeconds, 60)
	fill(&o.CallEvery, 20*time.Millisecond)
	fill(&o.Timeout, 10*time.Second)
	if min(o.Rate, o.PostEvery, o.PostBytes, o.Sockets, o.Streams, o.StreamSeconds, o.Callers) < 0 {
		return o, fmt.Errorf("load takes no negative numbers")
	}
	if o.Callers > 0 && o.CallAddr == "" {
		return o, fmt.Errorf("calls need an address of their own, of HTTP/2 without TLS")
	}
	return o, nil
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
