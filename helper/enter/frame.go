package enter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// Kinds of frames. A frame is its kind in one byte, the length of what follows in two (big endian), and that.
const (
	data = 'd' // bytes of the input
	size = 's' // of the terminal: columns and rows, two bytes each
	end  = 'e' // the input ends here; the stream goes on
)

// maxData is how many bytes go into one frame.
const maxData = 32 << 10

// Writer makes frames of what a person types. Its methods may be called by several at once.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter writes frames to w, each by one Write.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends input.
func (w *Writer) Write(p []byte) (sent int, err error) {
	for len(p) > 0 {
		n := min(len(p), maxData)
		if err := w.frame(data, p[:n]); err != nil {
			return sent, err
		}
		p, sent = p[n:], sent+n
	}
	return sent, nil
}

// Resize sends the terminal's new size in characters.
func (w *Writer) Resize(columns, rows int) error {
	payload := binary.BigEndian.AppendUint16(nil, uint16(clamp(columns)))
	return w.frame(size, binary.BigEndian.AppendUint16(payload, uint16(clamp(rows))))
}

// End sends that no more input comes.
func (w *Writer) End() error { return w.frame(end, nil) }

func (w *Writer) frame(kind byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(append([]byte{kind, byte(len(payload) >> 8), byte(len(payload))}, payload...))
	return err
}

// Mark is what Main writes behind the last byte of either output. Then it waits for the end of its input, since an engine that
// sees a command end gives up what is still on its way after two seconds (containerd), and a slow reader would lose it.
func Mark(id string) string { return "\x00lain-end:" + id + "\x00" }

// clamp keeps a size in what two bytes hold.
func clamp(n int) int { return min(max(n, 0), 1<<16-1) }

// frame is one of a stream.
type frame struct {
	kind    byte
	payload []byte // valid until the next
}

// reader takes a stream apart.
type reader struct {
	r       *bufio.Reader
	payload [1 << 16]byte
}

func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, maxData)} }

// next is the next frame; io.EOF behind the last, io.ErrUnexpectedEOF in the middle of one.
func (r *reader) next() (frame, error) {
	var head [3]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[0], payload: r.payload[:binary.BigEndian.Uint16(head[1:])]}
	if _, err := io.ReadFull(r.r, f.payload); err != nil {
		return frame{}, noEOF(err)
	}
	if want, fixed := map[byte]int{size: 4, end: 0}[f.kind]; fixed && len(f.payload) != want || !fixed && f.kind != data {
		return frame{}, errors.New("a frame of standard input is none that enter knows")
	}
	return f, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sized is what a frame of size says.
func (f frame) sized() (columns, rows uint16) {
	return binary.BigEndian.Uint16(f.payload), binary.BigEndian.Uint16(f.payload[2:])
}
