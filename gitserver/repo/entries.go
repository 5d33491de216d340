package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
)

// Entry is one leaf of a commit's tree: a file, a symbolic link or a submodule.
type Entry struct {
	Mode string // six octal digits: 100644, 100755, 120000, 160000, or an old odd one
	Type string // blob or commit
	ID   string
	Size int64 // bytes; 0 for a submodule
	Path string
}

// Regular reports whether it is a file, executable or not.
func (e Entry) Regular() bool { return e.Type == "blob" && strings.HasPrefix(e.Mode, "100") }

// Link reports whether it is a symbolic link.
func (e Entry) Link() bool { return e.Mode == "120000" }

// Submodule reports whether it is a commit of another repository.
func (e Entry) Submodule() bool { return e.Type == "commit" }

// maxEntry bounds a record of git ls-tree; a longer path than that is refused.
const maxEntry = 16 << 10

// Entries calls fn for every leaf of the commit's tree, in git's order; fn's error ends it. Paths are as
// the pusher wrote them: they may hold any byte but NUL and may be longer than a file system allows.
func (r *Repository) Entries(ctx context.Context, commit lain.Commit, fn func(Entry) error) (err error) {
	if _, err := lain.ParseCommit(string(commit)); err != nil {
		return err
	}
	out, err := r.git("ls-tree", "-r", "-z", "-l", "--full-tree", string(commit)).stream(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return eachEntry(out, fn)
}

func eachEntry(r io.Reader, fn func(Entry) error) error {
	b := bufio.NewReaderSize(r, maxEntry)
	for {
		e, err := readEntry(b)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

// readEntry reads "<mode> SP <type> SP <id> SP <size, padded> TAB <path> NUL". io.EOF only between records.
func readEntry(b *bufio.Reader) (Entry, error) {
	record, err := b.ReadSlice(0)
	if err == io.EOF && len(record) == 0 {
		return Entry{}, io.EOF
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return Entry{}, fmt.Errorf("a path of the tree is longer than %d bytes", maxEntry)
	}
	if err == io.EOF {
		return Entry{}, io.ErrUnexpectedEOF
	}
	if err != nil {
		return Entry{}, err
	}
	return parseEntry(record[:len(record)-1])
}

func parseEntry(record []byte) (Entry, error) {
	head, path, ok := bytes.Cut(record, []byte{'\t'})
	f := strings.Fields(string(head))
	if !ok || len(f) != 4 || len(path) == 0 {
		return Entry{}, fmt.Errorf("git ls-tree wrote %q", record)
	}
	e := Entry{Mode: f[0], Type: f[1], ID: f[2], Path: string(path)}
	if _, err := lain.ParseCommit(e.ID); err != nil || len(e.Mode) != 6 || strings.Trim(e.Mode, "01234567") != "" {
		return Entry{}, fmt.Errorf("git ls-tree wrote %q", record)
	}
	if f[3] == "-" {
		return e, nil
	}
	size, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || size < 0 {
		return Entry{}, fmt.Errorf("git ls-tree wrote %q", record)
	}
	e.Size = size
	return e, nil
}
