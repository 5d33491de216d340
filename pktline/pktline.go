// Package pktline is git's pkt-line framing (gitprotocol-common): four hexadecimal digits that count
// themselves, then the payload; three short lengths are marks without one.
//
// It knows frames only, neither side bands nor what is said in them. It reads foreign bytes: every
// length is checked before anything is read for it, and none makes it hold more than MaxPacket.
package pktline

import (
	"errors"
	"fmt"
	"io"
)

const (
	// MaxPacket is the length of the longest packet, its four digits included (git's LARGE_PACKET_MAX).
	MaxPacket = 65520
	// MaxData is the longest payload.
	MaxData = MaxPacket - digits

	digits = 4
)

// Kind says what a packet is.
type Kind int

const (
	Data        Kind = iota // a payload, possibly empty
	Flush                   // 0000: end of a message
	Delim                   // 0001: border between sections (protocol v2)
	ResponseEnd             // 0002: end of a response (stateless protocol v2)
)

// ErrLength is returned for a length that no packet has, in either direction.
var ErrLength = errors.New("bad pkt-line length")

// Reader takes packets off a stream. It is for one goroutine, reads no byte beyond the packet that it
// returns, and is of no use after an error.
type Reader struct {
	r   io.Reader
	buf [MaxPacket]byte
}

// NewReader reads from r, without buffering ahead.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next packet. The payload is nil unless the kind is Data, and is overwritten by the
// following call. The error is io.EOF at the end between two packets, io.ErrUnexpectedEOF within one,
// and ErrLength for a length that is none.
func (r *Reader) Next() (payload []byte, kind Kind, err error) {
	head := r.buf[:digits]
	if _, err := io.ReadFull(r.r, head); err != nil {
		return nil, Data, err
	}
	length, ok := parse(head)
	if !ok {
		return nil, Data, fmt.Errorf("%w: %q", ErrLength, head)
	}
	if length < digits {
		return mark(length)
	}
	payload = r.buf[digits:length]
	if _, err := io.ReadFull(r.r, payload); err != nil {
		return nil, Data, cut(err)
	}
	return payload, Data, nil
}

func mark(length int) ([]byte, Kind, error) {
	switch length {
	case 0:
		return nil, Flush, nil
	case 1:
		return nil, Delim, nil
	case 2:
		return nil, ResponseEnd, nil
	default:
		return nil, Data, fmt.Errorf("%w: %04x", ErrLength, length)
	}
}

// cut makes the end of the stream an unexpected one: a length promised more.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse reads four hexadecimal digits, of either case as git does.
func parse(head []byte) (int, bool) {
	length := 0
	for _, c := range head {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		length = length<<4 | int(c)
	}
	return length, length <= MaxPacket
}

// Writer puts packets on a stream, each by a single Write. It is for one goroutine.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter writes to w, without buffering.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Data writes one packet. A payload that is empty (which the protocol advises against) or longer than
// MaxData is refused with ErrLength, and nothing is written.
func (w *Writer) Data(payload []byte) error {
	if len(payload) == 0 || len(payload) > MaxData {
		return fmt.Errorf("%w: %d bytes to send", ErrLength, len(payload))
	}
	w.buf = fmt.Appendf(w.buf[:0], "%04x", len(payload)+digits)
	w.buf = append(w.buf, payload...)
	_, err := w.w.Write(w.buf)
	return err
}

// Flush ends a message.
func (w *Writer) Flush() error { return w.mark("0000") }

// Delim ends a section.
func (w *Writer) Delim() error { return w.mark("0001") }

func (w *Writer) mark(s string) error {
	_, err := io.WriteString(w.w, s)
	return err
}
