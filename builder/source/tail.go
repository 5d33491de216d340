package source

import (
	"errors"
	"io"
)

// errCut says that the archive has no end: whoever wrote it died.
var errCut = errors.New("build context: the archive broke off before its end")

// tailReader counts the zero bytes at the end of what was read. A tar archive ends with two zero blocks of
// 512 bytes; archive/tar takes an archive that stops between two entries for a whole one, and this does not.
type tailReader struct {
	r     io.Reader
	zeros int
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	i := n
	for i > 0 && p[i-1] == 0 {
		i--
	}
	if i > 0 {
		t.zeros = 0
	}
	t.zeros += n - i
	return n, err
}

// finish reads the padding, at most 1 MiB of it, and checks the end marker.
func (t *tailReader) finish() error {
	if _, err := io.Copy(io.Discard, io.LimitReader(t, 1<<20)); err != nil {
		return err
	}
	if t.zeros < 1024 {
		return errCut
	}
	return nil
}
