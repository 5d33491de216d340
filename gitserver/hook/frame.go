package hook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// kind says what a frame carries. The first three go to the server, the others to the hook.
type kind byte

const (
	frameHello    kind = 'H' // the token
	frameStdin    kind = 'I' // what git wrote to the hook
	frameStdinEnd kind = 'E' // git closed it
	frameStdout   kind = 'O' // for git
	frameStderr   kind = 'P' // for the pusher's terminal
	frameExit     kind = 'X' // one byte: the exit code
)

// maxFrame bounds a payload, in bytes.
const maxFrame = 64 << 10

// errFrame is returned for bytes that are no frame.
var errFrame = errors.New("bad frame on the hook's socket")

// readFrame reads one frame into buf, which has room for maxFrame bytes. io.EOF only between frames.
func readFrame(r io.Reader, buf []byte) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame || int(n) > len(buf) {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	switch k := kind(head[0]); k {
	case frameHello, frameStdin, frameStdinEnd, frameStdout, frameStderr, frameExit:
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return k, buf[:n], nil
	default:
		return 0, nil, fmt.Errorf("%w: kind %q", errFrame, head[0])
	}
}

// frameWriter writes frames, each by a single Write. It is safe for concurrent use.
type frameWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

func (f *frameWriter) frame(k kind, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = append(f.buf[:0], byte(k))
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(p)))
	f.buf = append(f.buf, p...)
	_, err := f.w.Write(f.buf)
	return err
}

// stream is an io.Writer whose bytes become frames of one kind.
type stream struct {
	f *frameWriter
	k kind
}

func (s stream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+maxFrame)]
		if err := s.f.frame(s.k, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}
