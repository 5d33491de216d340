package load

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// stream has one streamed answer after the other on its way until ctx ends, each over a connection of its own, and waits for
// the last one.
func (l *Load) stream(ctx context.Context) {
	defer l.done.Done()
	for ctx.Err() == nil {
		err := l.readStream()
		l.tally.streamEnded(err)
		if err != nil && !pause(ctx, l.o.SocketEvery) {
			return
		}
	}
}

// readStream reads a streamed answer to its end. It is whole when its last line says that it is the last.
func (l *Load) readStream() error {
	length := time.Duration(l.o.StreamSeconds) * time.Second
	deadline := time.Now().Add(length + l.o.Timeout)
	c, err := dial(l.o.Addr, deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.exchange(request{method: "GET", path: fmt.Sprintf("%s?s=%d", l.o.StreamPath, l.o.StreamSeconds)}, l.o.Host, deadline)
	if err != nil {
		return loss("stream: " + err.Error())
	}
	if a.status != 200 {
		return loss(fmt.Sprintf("stream: status %d", a.status))
	}
	n := 0
	for line := range strings.Lines(string(a.body)) {
		if n++; line != fmt.Sprintf("line %d of %d\n", n, 10*l.o.StreamSeconds) {
			return loss("stream: a line is not what was sent")
		}
	}
	if n != 10*l.o.StreamSeconds {
		return loss("stream: it ended too soon")
	}
	return nil
}
