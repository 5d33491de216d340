package engine

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/grpc"
)

// progress is an engine's stream: it says these texts ("" is an empty message), then ends or, where it is
// stuck, says nothing at length for ever.
type progress struct {
	grpc.ClientStream
	ctx   context.Context
	texts []string
	stuck bool
}

func (p *progress) SendMsg(any) error { return nil }
func (p *progress) CloseSend() error  { return nil }

func (p *progress) RecvMsg(m any) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if len(p.texts) == 0 && !p.stuck {
		return io.EOF
	}
	if len(p.texts) == 0 {
		return nil
	}
	if text := p.texts[0]; text != "" {
		m.(*controlapi.StatusResponse).Logs = []*controlapi.VertexLog{{Vertex: "sha256:1", Msg: []byte(text)}}
	}
	p.texts = p.texts[1:]
	return nil
}

func listenTo(t *testing.T, ctx context.Context, streams ...*progress) (heard []string, err error) {
	t.Helper()
	var left []context.Context
	open := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		left = append(left, ctx)
		if len(left) > len(streams) {
			return nil, fmt.Errorf("no such build")
		}
		streams[len(left)-1].ctx = ctx
		return streams[len(left)-1], nil
	}
	s, err := readAhead(ctx, nil, nil, statusMethod, open)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(&controlapi.StatusRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for {
		var m controlapi.StatusResponse
		if err := s.RecvMsg(&m); err != nil {
			return heard, err
		}
		for _, l := range m.Logs {
			heard = append(heard, string(l.Msg))
		}
	}
}

func TestReadAhead(t *testing.T) {
	few := slices.Repeat([]string{""}, manyEmpty-1)
	for _, c := range []struct {
		name    string
		streams []*progress
		want    []string
	}{
		{"a healthy engine", []*progress{{texts: []string{"a", "", "b"}}}, []string{"a", "b"}},
		{"some empty messages", []*progress{{texts: append(append([]string{"a"}, few...), "b")}}, []string{"a", "b"}},
		{"a stuck engine, and the rest from a new stream", []*progress{{texts: []string{"a"}, stuck: true}, {texts: []string{"b"}}}, []string{"a", GapMark, "b"}},
		{"a stuck engine whose build has ended", []*progress{{texts: []string{"a"}, stuck: true}}, []string{"a", GapMark}},
		{"stuck before the first line", []*progress{{stuck: true}, {texts: []string{"b"}}}, []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			heard, err := listenTo(t, t.Context(), c.streams...)
			if err != io.EOF || !slices.Equal(heard, c.want) {
				t.Errorf("heard %q and %v, want %q", heard, err, c.want)
			}
		})
	}
}

// What is read ahead has a limit, and a reader that goes away ends it all.
func TestReadAhead_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &statusStream{ctx: ctx, leave: func() {}, most: 10}
	s.changed.L = &s.mu
	s.ClientStream = &progress{ctx: ctx, texts: slices.Repeat([]string{"six by"}, 9)}
	done := make(chan struct{})
	go func() { defer close(done); s.read() }()
	for held := 0; held <= s.most; runtime.Gosched() {
		s.mu.Lock()
		held = s.held
		s.mu.Unlock()
	}
	cancel()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("it reads on")
	}
	if s.held > s.most+2*len("six by") {
		t.Errorf("%d bytes are held", s.held)
	}
}
