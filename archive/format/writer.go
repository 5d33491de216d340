package format

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"
)

// Record is one record of the store as it lies there.
type Record struct {
	Key   string `json:"k"` // below the cluster's root
	Value []byte `json:"v"`
}

// Writer writes an archive. It is for one goroutine. An archive without a Close is one that was cut.
type Writer struct {
	tar   *tar.Writer
	sum   hash.Hash
	seal  Seal
	pages int
}

// NewWriter begins an archive with its manifest, whose Format it sets.
func NewWriter(w io.Writer, m Manifest) (*Writer, error) {
	out := &Writer{tar: tar.NewWriter(w), sum: sha256.New()}
	m.Format = Version
	return out, out.json(manifestName, m, m.Time)
}

// Records writes one page.
func (w *Writer) Records(page []Record, at time.Time) error {
	w.pages++
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for _, r := range page {
		if err := lines.Encode(r); err != nil {
			return fmt.Errorf("write the record %s: %w", r.Key, err)
		}
	}
	return w.bytes(fmt.Sprintf("%s%08d.jsonl", recordsPrefix, w.pages), b.Bytes(), at)
}

// Add writes an entry whose content, of exactly h.Size bytes, comes from r; a folder has none. Content that ends
// early is io.ErrUnexpectedEOF, and the archive is lost then. The end of ctx ends the copying.
func (w *Writer) Add(ctx context.Context, h Head, r io.Reader) error {
	if h.Kind != Settings {
		if err := checkPath(h.Path); err != nil {
			return err
		}
	}
	t := &tar.Header{Typeflag: tar.TypeReg, Name: h.name(), Mode: int64(h.Mode & maxMode), Uid: h.UID, Gid: h.GID, Size: h.Size, ModTime: h.Time}
	if h.Kind == Folder {
		t.Typeflag, t.Size, r = tar.TypeDir, 0, bytes.NewReader(nil)
	}
	return w.entry(ctx, t, r)
}

// Close writes the seal and returns what it says. The underlying writer stays open.
func (w *Writer) Close() (Seal, error) {
	w.seal.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	seal := w.seal
	if err := w.json(sealName, seal, time.Time{}); err != nil {
		return seal, err
	}
	return seal, w.tar.Close()
}

// Bytes is how much content was written so far.
func (w *Writer) Bytes() int64 { return w.seal.Bytes }

func (w *Writer) json(name string, v any, at time.Time) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return w.bytes(name, append(data, '\n'), at)
}

func (w *Writer) bytes(name string, data []byte, at time.Time) error {
	t := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at}
	return w.entry(context.Background(), t, bytes.NewReader(data))
}

func (w *Writer) entry(ctx context.Context, t *tar.Header, r io.Reader) error {
	t.ModTime = t.ModTime.Truncate(time.Second) // a fraction would need a header of its own
	if err := w.tar.WriteHeader(t); err != nil {
		return fmt.Errorf("write %s: %w", t.Name, err)
	}
	sum(w.sum, t)
	n, err := io.CopyN(io.MultiWriter(w.tar, w.sum), ending{ctx, r}, t.Size)
	w.seal.Entries++
	w.seal.Bytes += n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", t.Name, err)
	}
	return nil
}

// ending is a reader that ends with a context.
type ending struct {
	ctx context.Context
	r   io.Reader
}

func (e ending) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.Read(p)
}
