package engine

import (
	"context"
	"fmt"
	"io"
	"sync"

	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/grpc"
)

// BuildKit in Docker Engine 20.10 never ends a batch of progress that holds more than 1 MiB of output: it
// goes on with empty messages for ever, and what it had not sent yet is lost. A batch grows while the engine
// waits for its client to read. So the client reads ahead of whoever looks at the progress, and when only
// empty messages come, it asks for the progress anew and marks the gap. Newer engines never get there.

// statusMethod is BuildKit's stream of progress.
const statusMethod = "/moby.buildkit.v1.Control/Status"

// statusWindow lets the engine send so many bytes before it has to wait for us.
const statusWindow = 64 << 20

// mostHeld is how many bytes of output are read ahead at most.
const mostHeld = 128 << 20

// manyEmpty is how many empty messages in a row no healthy engine sends.
const manyEmpty = 500

// GapMark is the text, in place of lines, where a step's output has a gap: a line of its own in BuildKit's
// own words for output that is cut.
const GapMark = "[output clipped, the engine lost lines that came too fast]\n"

// readAhead is a grpc interceptor for streams of progress; others pass.
func readAhead(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != statusMethod {
		return open(ctx, desc, cc, method, opts...)
	}
	s := &statusStream{ctx: ctx, most: mostHeld}
	s.changed.L = &s.mu
	s.open = func() (err error) {
		var one context.Context
		one, s.leave = context.WithCancel(ctx)
		s.ClientStream, err = open(one, desc, cc, method, opts...)
		return err
	}
	if err := s.open(); err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

// statusStream is a stream of progress that is read ahead. The goroutine that reads ends with the stream,
// which ends with ctx.
type statusStream struct {
	grpc.ClientStream // the one that is read now
	ctx               context.Context
	open              func() error // sets the stream, and leave
	leave             context.CancelFunc
	request           any
	most              int // bytes of output to hold

	mu      sync.Mutex
	changed sync.Cond // queue, err, or ctx
	queue   []*controlapi.StatusResponse
	held    int // bytes of output in queue
	err     error
}

func (s *statusStream) SendMsg(m any) error {
	s.request = m
	return s.ClientStream.SendMsg(m)
}

func (s *statusStream) CloseSend() error {
	err := s.ClientStream.CloseSend()
	if err == nil {
		go s.read()
	}
	return err
}

// RecvMsg gives the next message that says something.
func (s *statusStream) RecvMsg(m any) error {
	to, ok := m.(*controlapi.StatusResponse)
	if !ok {
		return fmt.Errorf("progress as %T", m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && s.err == nil {
		s.changed.Wait()
	}
	if len(s.queue) == 0 {
		return s.err
	}
	from := s.queue[0]
	s.queue = s.queue[1:]
	s.held -= size(from)
	s.changed.Broadcast()
	to.Vertexes, to.Statuses, to.Logs, to.Warnings = from.Vertexes, from.Statuses, from.Logs, from.Warnings
	return nil
}

// read fills the queue until the stream ends.
func (s *statusStream) read() {
	stop := context.AfterFunc(s.ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	defer func() { s.leave() }()
	var last *controlapi.VertexLog
	for empty := 0; ; {
		m := new(controlapi.StatusResponse)
		if err := s.ClientStream.RecvMsg(m); err != nil {
			s.end(err)
			return
		}
		if n := len(m.Logs); n > 0 {
			last = m.Logs[n-1]
		}
		if len(m.Logs)+len(m.Vertexes)+len(m.Statuses)+len(m.Warnings) > 0 {
			empty = 0
			s.put(m)
			continue
		}
		if empty++; empty < manyEmpty {
			continue
		}
		empty = 0
		s.put(gap(last))
		if err := s.reopen(); err != nil { // a build that has ended has no progress any more
			s.end(io.EOF)
			return
		}
	}
}

func gap(last *controlapi.VertexLog) *controlapi.StatusResponse {
	if last == nil {
		return &controlapi.StatusResponse{}
	}
	return &controlapi.StatusResponse{Logs: []*controlapi.VertexLog{{
		Vertex: last.Vertex, Stream: last.Stream, Timestamp: last.Timestamp, Msg: []byte(GapMark),
	}}}
}

// reopen leaves the stream for a new one with the same request.
func (s *statusStream) reopen() error {
	s.leave()
	if err := s.open(); err != nil {
		return err
	}
	if err := s.ClientStream.SendMsg(s.request); err != nil {
		return err
	}
	return s.ClientStream.CloseSend()
}

func size(m *controlapi.StatusResponse) (n int) {
	for _, l := range m.Logs {
		n += len(l.Msg)
	}
	return n
}

// put waits while very much is held: then even an old engine had better lose lines than we the memory.
func (s *statusStream) put(m *controlapi.StatusResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held > s.most && s.ctx.Err() == nil {
		s.changed.Wait()
	}
	s.held += size(m)
	s.queue = append(s.queue, m)
	s.changed.Broadcast()
}

func (s *statusStream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.changed.Broadcast()
}
