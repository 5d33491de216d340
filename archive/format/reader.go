package format

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"lain.internal/lain/lain"
)

// What callers may test for. Other errors of a Reader mean a damaged archive, or a failure to read it.
var (
	ErrNewer   = errors.New("the archive has a newer form than this version reads")
	ErrCut     = errors.New("the archive ends before its seal")
	ErrDamaged = errors.New("the archive is not what was written")
	ErrHostile = errors.New("the archive holds what no backup holds")
)

// Reader reads an archive and trusts nothing in it. It is for one goroutine.
type Reader struct {
	tar      *tar.Reader
	under    io.Reader
	sum      hash.Hash
	seen     Seal
	manifest Manifest
	done     bool
}

// NewReader reads the manifest.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{tar: tar.NewReader(r), under: r, sum: sha256.New()}
	t, err := in.head()
	if err != nil {
		return nil, err
	}
	if t.Name != manifestName {
		return nil, fmt.Errorf("%w: it does not begin with a manifest", ErrHostile)
	}
	if err := in.json(t, &in.manifest); err != nil {
		return nil, err
	}
	return in, in.manifest.check()
}

func (m Manifest) check() error {
	if m.Format > Version {
		return fmt.Errorf("%w: form %d, written by lain %.40q", ErrNewer, m.Format, m.Lain)
	}
	if m.Format < 1 {
		return fmt.Errorf("%w: form %d", ErrHostile, m.Format)
	}
	if _, err := lain.ParseCluster(string(m.Cluster)); err != nil {
		return fmt.Errorf("%w: %w", ErrHostile, err)
	}
	return nil
}

// Manifest is what the archive says of itself.
func (r *Reader) Manifest() Manifest { return r.manifest }

// Next gives the next entry; its content is read from the Reader, and what is not read of it counts all the
// same. io.EOF means that everything up to the seal was there, as it was written, and nothing behind it. Only
// then may the content be believed.
func (r *Reader) Next() (Head, error) {
	if r.done {
		return Head{}, io.EOF
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return Head{}, err
	}
	t, err := r.head()
	if err != nil {
		return Head{}, err
	}
	if t.Name == sealName {
		return Head{}, r.close(t)
	}
	return entry(t)
}

// Read reads the content of the entry that Next gave last.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.tar.Read(p)
	r.sum.Write(p[:n])
	r.seen.Bytes += int64(n)
	return n, cut(err)
}

// Seal is what was counted; it is whole once Next has given io.EOF.
func (r *Reader) Seal() Seal { return r.seen }

// head reads the next header and refuses what no header of ours has.
func (r *Reader) head() (*tar.Header, error) {
	t, err := r.tar.Next()
	if err == io.EOF {
		return nil, ErrCut
	}
	if err != nil {
		return nil, cut(err)
	}
	if err := plain(t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHostile, err)
	}
	if t.Name != sealName {
		r.seen.Entries++
		sum(r.sum, t)
	}
	return t, nil
}

// plain lets regular files and folders pass that need nothing but their header. A sparse file would be one whose
// content is larger than what carries it.
func plain(t *tar.Header) error {
	switch {
	case t.Typeflag != tar.TypeReg && t.Typeflag != tar.TypeDir:
		return fmt.Errorf("%.100q is neither a file nor a folder (type %q)", t.Name, t.Typeflag)
	case t.Typeflag == tar.TypeDir && t.Size != 0, t.Size < 0, t.Linkname != "", t.Uid < 0, t.Gid < 0:
		return fmt.Errorf("%.100q has a header that makes no sense", t.Name)
	case fs.FileMode(t.Mode)&^maxMode != 0:
		return fmt.Errorf("%.100q has mode %o", t.Name, t.Mode)
	}
	for key := range t.PAXRecords {
		if key != "path" && key != "size" && key != "uid" && key != "gid" {
			return fmt.Errorf("%.100q has an attribute %.100q", t.Name, key)
		}
	}
	return nil
}

// entry tells where an entry belongs.
func entry(t *tar.Header) (Head, error) {
	h := Head{Mode: fs.FileMode(t.Mode), UID: t.Uid, GID: t.Gid, Size: t.Size, Time: t.ModTime}
	below, inData := strings.CutPrefix(t.Name, dataPrefix)
	switch {
	case t.Typeflag == tar.TypeDir && inData:
		h.Kind, h.Path = Folder, strings.TrimSuffix(below, "/")
	case inData:
		h.Kind, h.Path = File, below
	case t.Typeflag == tar.TypeReg && t.Name == settingsName:
		h.Kind = Settings
		return h, nil
	case t.Typeflag == tar.TypeReg && strings.HasPrefix(t.Name, recordsPrefix):
		h.Kind = Records
		return h, nil
	default:
		return h, fmt.Errorf("%w: an entry %.100q", ErrHostile, t.Name)
	}
	if err := checkPath(h.Path); err != nil {
		return h, fmt.Errorf("%w: %w", ErrHostile, err)
	}
	return h, nil
}

// close compares the seal with what was counted, and reads to the very end: of the archive, and of what it lies
// in, which authenticates its last part only there.
func (r *Reader) close(t *tar.Header) error {
	want := r.seen
	want.SHA256 = hex.EncodeToString(r.sum.Sum(nil))
	var got Seal
	if err := r.json(t, &got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: its seal says %d entries and %d bytes, it has %d and %d, or their checksum differs",
			ErrDamaged, got.Entries, got.Bytes, want.Entries, want.Bytes)
	}
	if _, err := r.tar.Next(); err != io.EOF {
		return fmt.Errorf("%w: something lies behind its seal", ErrHostile)
	}
	if rest, err := io.Copy(io.Discard, r.under); err != nil {
		return cut(err)
	} else if rest > 0 {
		return fmt.Errorf("%w: something lies behind its end", ErrHostile)
	}
	r.seen, r.done = want, true
	return io.EOF
}

func (r *Reader) json(t *tar.Header, v any) error {
	if t.Typeflag != tar.TypeReg || t.Size > maxJSON {
		return fmt.Errorf("%w: %s has %d bytes", ErrHostile, t.Name, t.Size)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, t.Name, err)
	}
	return nil
}

// cut names an early end, which the layers below call by several names.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	if errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// ReadRecords gives each record of a page, in order, until fn fails.
func ReadRecords(page io.Reader, fn func(Record) error) error {
	lines := bufio.NewScanner(page)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		var r Record
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			return fmt.Errorf("%w: a record cannot be read: %w", ErrDamaged, err)
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return lines.Err()
}
