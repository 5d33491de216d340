package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// socket keeps one websocket talking until ctx ends. One that the server closes with a clean frame (an old
// instance that drains) is counted as closed and opened anew; any other end is a loss, and it is opened
// anew all the same, after a pause.
func (l *Load) socket(ctx context.Context, id int) {
	defer l.done.Done()
	for ctx.Err() == nil {
		err := l.talk(ctx, id)
		if ctx.Err() != nil && err == nil {
			return
		}
		l.tally.socketEnded(err)
		if err != nil && !pause(ctx, l.o.SocketEvery) {
			return
		}
	}
}

// talk opens one websocket and echoes on it. nil means a clean end: ours, or the server's goodbye.
func (l *Load) talk(ctx context.Context, id int) error {
	c, err := l.open()
	if err != nil {
		return err
	}
	defer c.Close()
	for i := 0; ; i++ {
		said := fmt.Sprintf("socket %d message %d", id, i)
		l.tally.socketSent()
		began := time.Now()
		heard, err := ask(c, said, l.o.Timeout)
		if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseServiceRestart) {
			l.tally.socketUnanswered()
			return nil
		}
		if err != nil {
			return lossOf("websocket", err)
		}
		if heard != said {
			return loss("websocket: the echo differs")
		}
		l.tally.socketEcho(time.Since(began))
		if !pause(ctx, l.o.SocketEvery) {
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
			return nil
		}
	}
}

func (l *Load) open() (*websocket.Conn, error) {
	dialer := websocket.Dialer{
		HandshakeTimeout: l.o.Timeout,
		NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.o.Addr)
		},
	}
	c, resp, err := dialer.Dial("ws://"+l.o.Host+l.o.SocketPath, nil)
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, loss(fmt.Sprintf("websocket: status %d", resp.StatusCode))
	}
	if err != nil {
		return nil, lossOf("open a websocket", err)
	}
	return c, nil
}

func ask(c *websocket.Conn, said string, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	_ = c.SetReadDeadline(deadline)
	_ = c.SetWriteDeadline(deadline)
	writeErr := c.WriteMessage(websocket.TextMessage, []byte(said))
	_, heard, err := c.ReadMessage() // also after a failed write: the goodbye may be there to read
	if err != nil && writeErr != nil && !websocket.IsCloseError(err, websocket.CloseGoingAway, websocket.CloseNormalClosure, websocket.CloseServiceRestart) {
		return "", writeErr
	}
	return string(heard), err
}

// pause waits for d and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
