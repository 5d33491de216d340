package enter

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// collect reads a stream to its end.
func collect(stream []byte) (input string, sizes [][2]uint16, ended bool, err error) {
	r := newReader(bytes.NewReader(stream))
	for {
		f, err := r.next()
		switch {
		case err != nil:
			return input, sizes, ended, err
		case f.kind == data:
			input += string(f.payload)
		case f.kind == size:
			columns, rows := f.sized()
			sizes = append(sizes, [2]uint16{columns, rows})
		default:
			ended = true
		}
	}
}

func TestFrames(t *testing.T) {
	var stream bytes.Buffer
	w := NewWriter(&stream)
	long := strings.Repeat("0123456789", 20_000)
	n, err := w.Write([]byte(long))
	if err = errors.Join(err, w.Resize(97, 24), w.Resize(-1, 1<<20), w.End()); err != nil || n != len(long) {
		t.Fatal(n, err)
	}
	input, sizes, ended, err := collect(stream.Bytes())
	if input != long || len(sizes) != 2 || sizes[0] != [2]uint16{97, 24} || sizes[1] != [2]uint16{0, 65535} || !ended || err != io.EOF {
		t.Errorf("%d bytes, sizes %v, ended %t: %v", len(input), sizes, ended, err)
	}
	if _, _, _, err := collect(stream.Bytes()[:10]); err != io.ErrUnexpectedEOF {
		t.Errorf("a stream that is cut: %v", err)
	}
	for _, bad := range []string{"x\x00\x00", "s\x00\x03abc", "e\x00\x01a"} {
		if _, _, _, err := collect([]byte(bad)); err == nil || err == io.EOF {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Whatever is taken for frames is frames: written again they make the same bytes, data that is split otherwise apart.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"", "d\x00\x01a", "s\x00\x04\x00\x50\x00\x18", "e\x00\x00", "d\xff\xff", "d\x00\x00e\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		input, sizes, ended, err := collect(stream)
		if err != io.EOF {
			return
		}
		var again bytes.Buffer
		w := NewWriter(&again)
		_, _ = w.Write([]byte(input))
		for _, s := range sizes {
			_ = w.Resize(int(s[0]), int(s[1]))
		}
		if ended {
			_ = w.End()
		}
		input2, sizes2, ended2, err := collect(again.Bytes())
		if input2 != input || len(sizes2) != len(sizes) || ended2 != ended || err != io.EOF {
			t.Errorf("%q comes back as %q", stream, again.Bytes())
		}
	})
}
