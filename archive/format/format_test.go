package format_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/archive/format"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is an archive with one of everything.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	at := time.Unix(1_700_000_000, 123)
	w, err := format.NewWriter(&b, format.Manifest{Lain: "v1", Cluster: "test", Time: at, Revision: 7})
	must(t, err)
	must(t, w.Records([]format.Record{{Key: "apps/hello", Value: []byte(`{"schema":1,"record":{}}`)}}, at))
	add := func(h format.Head, content string) {
		h.Size, h.Time = int64(len(content)), at
		must(t, w.Add(context.Background(), h, strings.NewReader(content)))
	}
	add(format.Head{Kind: format.Settings, Mode: 0o644}, "domain: x\n")
	add(format.Head{Kind: format.Folder, Path: "ssh", Mode: 0o700}, "")
	add(format.Head{Kind: format.File, Path: "ssh/key", Mode: 0o600, UID: 3, GID: 4}, "secret")
	add(format.Head{Kind: format.File, Path: "ssh/" + strings.Repeat("long/", 60) + "name", Mode: 0o600, UID: 1 << 22}, "")
	seal, err := w.Close()
	must(t, err)
	if seal.Entries != 6 || seal.SHA256 == "" {
		t.Errorf("seal %+v", seal)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	r, err := format.NewReader(bytes.NewReader(sample(t)))
	must(t, err)
	if m := r.Manifest(); m.Format != format.Version || m.Cluster != "test" || m.Revision != 7 || m.Lain != "v1" {
		t.Errorf("manifest %+v", m)
	}
	var kinds []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		kinds = append(kinds, string(h.Kind))
		switch h.Kind {
		case format.Records:
			must(t, format.ReadRecords(r, func(rec format.Record) error {
				if rec.Key != "apps/hello" || string(rec.Value) != `{"schema":1,"record":{}}` {
					t.Errorf("record %+v", rec)
				}
				return nil
			}))
		case format.File: // the content of the second, and of the settings, is passed over and counts all the same
			if content, err := io.ReadAll(r); h.Path == "ssh/key" && (err != nil || string(content) != "secret" || h.Mode != 0o600 || h.UID != 3 || h.GID != 4) {
				t.Errorf("%+v: %q, %v", h, content, err)
			}
		}
	}
	if got := strings.Join(kinds, " "); got != "records settings folder file file" {
		t.Errorf("entries: %s", got)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
}

func readAll(b []byte) error {
	r, err := format.NewReader(bytes.NewReader(b))
	for err == nil {
		_, err = r.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func TestReader_everyCutIsRefused(t *testing.T) {
	whole := sample(t)
	must(t, readAll(whole))
	for n := range bytes.LastIndex(whole, []byte("}\n")) + 1 { // behind the seal is only tar's padding
		if n%11 != 0 && n%512 != 0 {
			continue
		}
		if err := readAll(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d were taken for all", n, len(whole))
		} else if !errors.Is(err, format.ErrCut) && n%512 != 0 {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestWriter_refusesPathsAndShortContent(t *testing.T) {
	w, err := format.NewWriter(io.Discard, format.Manifest{Cluster: "test"})
	must(t, err)
	for _, path := range []string{"", ".", "..", "/x", "a/../b", "a//b", "a/", "a\nb", `a\b`, "\xff", strings.Repeat("x", 5000)} {
		if err := w.Add(t.Context(), format.Head{Kind: format.File, Path: path}, strings.NewReader("")); err == nil {
			t.Errorf("%q was written", path)
		}
	}
	err = w.Add(t.Context(), format.Head{Kind: format.File, Path: "x", Size: 5}, strings.NewReader("four"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that shrank: %v", err)
	}
}

// What the reader gives is safe to make below a folder, whatever it is given.
func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Name: "data/../x"}, {Typeflag: tar.TypeSymlink, Name: "data/x", Linkname: "/"},
		{Typeflag: tar.TypeLink, Name: "data/x", Linkname: "data/y"}, {Typeflag: tar.TypeChar, Name: "data/x", Devmajor: 1},
		{Typeflag: tar.TypeDir, Name: "data/a/", Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "data/" + strings.Repeat("n", 300)},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		manifest := `{"format":1,"cluster":"test"}`
		must(f, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(manifest)), Mode: 0o600}))
		_, err := io.WriteString(w, manifest)
		must(f, err)
		must(f, w.WriteHeader(&h))
		must(f, w.Close())
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := format.NewReader(bytes.NewReader(data))
		for err == nil {
			var h format.Head
			if h, err = r.Next(); err == nil {
				check(t, h)
				if h.Kind == format.Records {
					_ = format.ReadRecords(r, func(format.Record) error { return nil })
				}
			}
		}
	})
}

func check(t *testing.T, h format.Head) {
	named := h.Kind == format.File || h.Kind == format.Folder
	if named && (!filepath.IsLocal(h.Path) || !fs.ValidPath(h.Path) || h.Path == "." || strings.ContainsAny(h.Path, "\x00\n\\")) {
		t.Errorf("path %q", h.Path)
	}
	if h.Mode&^0o777 != 0 || h.Size < 0 || h.UID < 0 || h.GID < 0 || !named && h.Path != "" {
		t.Errorf("%+v", h)
	}
}
