package town

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

const planted = "a value that nobody else has"

func packed(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func archived(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file", Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHunt_FindsEveryForm(t *testing.T) {
	forms := map[string]string{"plain": "x" + planted + "y", "hex": hex.EncodeToString([]byte("k" + planted + "z"))}
	for i, before := range []string{"", "1", "12", "123"} {
		forms["base64 "+string(rune('0'+i))] = base64.StdEncoding.EncodeToString([]byte(before + planted + "what follows"))
		forms["base64url "+string(rune('0'+i))] = base64.RawURLEncoding.EncodeToString([]byte(before + planted + before))
	}
	for form, text := range forms {
		for how, data := range map[string]string{"bare": text, "gzip": packed(t, text), "a gzip behind others": "head" + packed(t, "other") + packed(t, text) + "tail",
			"gzip in tar in gzip": packed(t, archived(t, packed(t, text)))} {
			h := NewHunt(map[string]string{"it": planted, "other": "a value that is not there at all"})
			h.Bytes("place", []byte(data))
			if len(h.Found("it")) == 0 || len(h.Found("other")) > 0 {
				t.Errorf("%s, %s: found %v, and the other %v", form, how, h.Found("it"), h.Found("other"))
			}
		}
	}
}

func TestHunt_LooksBelowAFolderAndSaysWhatItCannotRead(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"a/b/leak": planted, "packed": "\x28\xb5\x2f\xfd" + "whatever", "clean": "nothing"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := NewHunt(map[string]string{"it": planted})
	if err := h.Tree(dir, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.Found("it"); len(got) != 1 || got[0] != filepath.Join(dir, "a/b/leak")+" (plain)" {
		t.Errorf("found %v", got)
	}
	if len(h.Unread) != 1 || filepath.Base(h.Unread[0]) != "packed" {
		t.Errorf("unread %v", h.Unread)
	}
}
