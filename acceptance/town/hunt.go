package town

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Hunt looks for values wherever they may have leaked to: plain, as base64 at each of its three offsets, as hex,
// and all of these inside gzip streams and tar archives, wherever in a file they begin. What is packed by other
// means it can't read; what says so at its beginning (zstd, xz), is nested too deeply, or gives an error, is noted in
// Unread.
type Hunt struct {
	Unread   []string // places that could not be looked into
	Searched int64    // bytes, unpacked
	needles  []needle
	found    map[string][]string
}

type needle struct {
	name, form string
	bytes      []byte
}

const (
	deepest  = 4         // archives within archives
	maxFile  = 1 << 30   // bytes of a file
	maxPlain = 512 << 20 // bytes of what one gzip stream becomes
)

// NewHunt is for values by their names. They should be long and random.
func NewHunt(values map[string]string) *Hunt {
	h := &Hunt{found: map[string][]string{}}
	for name, value := range values {
		add := func(form, text string) { h.needles = append(h.needles, needle{name, form, []byte(text)}) }
		add("plain", value)
		add("hex", hex.EncodeToString([]byte(value)))
		add("hex", strings.ToUpper(hex.EncodeToString([]byte(value))))
		for offset := range 3 {
			std, url := inBase64(value, offset, base64.StdEncoding), inBase64(value, offset, base64.URLEncoding)
			add("base64", std)
			if url != std {
				add("base64", url)
			}
		}
	}
	return h
}

// inBase64 is what of value is always the same when offset bytes of something else stand before it, modulo 3.
func inBase64(value string, offset int, e *base64.Encoding) string {
	text := e.EncodeToString([]byte(strings.Repeat("\x00", offset) + value))
	return text[(offset*8+5)/6 : (offset+len(value))*8/6]
}

// Found are the places where a value was seen, each with its form.
func (h *Hunt) Found(name string) []string { return h.found[name] }

// Bytes searches data that came from a place.
func (h *Hunt) Bytes(place string, data []byte) { h.search(place, data, 0) }

func (h *Hunt) search(place string, data []byte, depth int) {
	h.Searched += int64(len(data))
	for _, n := range h.needles {
		if bytes.Contains(data, n.bytes) {
			h.note(n.name, place+" ("+n.form+")")
		}
	}
	if depth == deepest || bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")) || bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")) {
		h.Unread = append(h.Unread, place)
		return
	}
	if len(data) > 262 && string(data[257:262]) == "ustar" {
		h.untar(place, data, depth)
		return // a gzip stream inside is one of its files
	}
	h.gunzip(place, data, depth)
}

func (h *Hunt) note(name, place string) {
	if !slices.Contains(h.found[name], place) {
		h.found[name] = append(h.found[name], place)
	}
}

// gunzip searches all gzip streams in data, also those that end early.
func (h *Hunt) gunzip(place string, data []byte, depth int) {
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], []byte("\x1f\x8b\x08"))
		if i < 0 {
			return
		}
		at += i
		r, err := gzip.NewReader(bytes.NewReader(data[at:]))
		if err != nil {
			continue
		}
		r.Multistream(false)
		plain, _ := io.ReadAll(io.LimitReader(r, maxPlain))
		if len(plain) > 0 {
			h.search(fmt.Sprintf("%s!gzip@%d", place, at), plain, depth+1)
		}
	}
}

func (h *Hunt) untar(place string, data []byte, depth int) {
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := r.Next()
		if err != nil {
			return // what is behind a broken header was searched as plain bytes
		}
		if content, err := io.ReadAll(r); err == nil && len(content) > 0 {
			h.search(place+"!"+header.Name, content, depth+1)
		}
	}
}

// Tree searches all files below a folder except those that skip names (nil: none). Files that
// vanish meanwhile are no error.
func (h *Hunt) Tree(dir string, skip func(path string, d fs.DirEntry) bool) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case skip != nil && skip(path, d):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		h.file(path)
		return nil
	})
}

func (h *Hunt) file(path string) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		h.Unread = append(h.Unread, path)
		return
	}
	data, err := os.ReadFile(path)
	if err == nil {
		h.Bytes(path, data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		h.Unread = append(h.Unread, path)
	}
}
