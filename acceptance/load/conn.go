package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxAnswer bounds what is read of a body, bytes.
const maxAnswer = 16 << 20

// conn is one connection to the server, used for one exchange at a time.
type conn struct {
	net.Conn
	r    *bufio.Reader
	used bool // has carried an exchange before
}

// answer is what a server said.
type answer struct {
	status int
	body   []byte
	last   bool // the server closes the connection after it
}

func dial(addr string, deadline time.Time) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return nil, lossOf("connect", err)
	}
	return &conn{Conn: c, r: bufio.NewReader(c)}, nil
}

// exchange sends one request and reads the whole answer.
func (c *conn) exchange(r request, host string, deadline time.Time) (answer, error) {
	reused := c.used
	c.used = true
	if err := c.SetDeadline(deadline); err != nil {
		return answer{}, lossOf("send", err)
	}
	sendErr := c.write(r, host)
	got, err := c.read(r.method)
	switch {
	case err == nil:
		return got, nil // an early answer (413, say) counts although sending broke off
	case sendErr != nil:
		return got, lossOf("send", sendErr)
	case reused && errors.Is(err, errNoByte):
		return got, loss("kept-alive connection closed instead of an answer")
	default:
		return got, err
	}
}

func (c *conn) write(r request, host string) error {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lain-load\r\n", r.method, r.path, host)
	if r.body != nil {
		fmt.Fprintf(&head, "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", len(r.body))
	}
	if !r.keep {
		head.WriteString("Connection: close\r\n")
	}
	head.WriteString("\r\n")
	message := net.Buffers{head.Bytes(), r.body}
	_, err := message.WriteTo(c.Conn)
	return err
}

// errNoByte says that the connection ended before the first byte of an answer.
var errNoByte = loss("connection closed instead of an answer")

func (c *conn) read(method string) (answer, error) {
	if _, err := c.r.Peek(1); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return answer{}, errNoByte
		}
		return answer{}, lossOf("wait for an answer", err)
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return answer{}, lossOf("read the head of an answer", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, lossOf("read the body of an answer", err)
	}
	return answer{status: resp.StatusCode, body: body, last: resp.Close || len(body) == maxAnswer}, nil
}

// stale reports that the server has closed an idle connection, or said something unasked on it.
func (c *conn) stale() bool {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok || c.r.Buffered() > 0 {
		return true
	}
	sys, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	silent := false
	err = sys.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err != nil || !silent
}

// pool keeps idle connections, the longest idle first, so that all are used in turn.
type pool struct {
	mu   sync.Mutex
	idle []*conn
}

// get returns an idle connection that the server has not closed, or nil.
func (p *pool) get() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[0]
		p.idle = p.idle[1:]
		_ = c.SetDeadline(time.Time{})
		if !c.stale() {
			return c
		}
		_ = c.Close()
	}
	return nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

func (p *pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}

// loss is why a request is lost, in words of a small set, so that equal ones can be counted.
type loss string

func (l loss) Error() string { return string(l) }

// lossOf names what was being done and how it failed, without addresses and ports.
func lossOf(doing string, err error) loss {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return loss(doing + ": timed out")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return loss(doing + ": connection closed")
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return loss(doing + ": " + number.Error())
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return loss(doing + ": " + text)
}
