package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestBare_HasAShellAndNothingOfThisUser(t *testing.T) {
	o := options{busybox: "/bin/busybox", cache: t.TempDir()}
	b, err := find("bare", o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.cache, "bare.tar")
	if err := makeTar(t.Context(), o.cache, b, path); err != nil {
		t.Fatal(err)
	}
	entries := read(t, path)
	for name, link := range map[string]string{"bin/sh": "busybox", "bin/cp": "busybox", "bin/busybox": "", "etc/passwd": "", "etc/ssl/certs/ca-certificates.crt": ""} {
		if h, ok := entries[name]; !ok || h.Linkname != link {
			t.Errorf("%s: there=%t, link to %q, want a link to %q", name, ok, h.Linkname, link)
		}
	}
	if mode := entries["tmp"].Mode; mode&0o1777 != 0o1777 {
		t.Errorf("/tmp has mode %o, want 1777", mode)
	}
	if left, _ := filepath.Glob(filepath.Join(o.cache, "bare-root-*")); len(left) > 0 {
		t.Errorf("the root was left behind: %v", left)
	}
}

func read(t *testing.T, path string) map[string]tar.Header {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries := map[string]tar.Header{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d:%d, want root", h.Name, h.Uid, h.Gid)
		}
		entries[filepath.Clean(h.Name)] = *h
	}
}

func TestKey_ChangesWithEachPart(t *testing.T) {
	b := base{name: "x", parts: []string{"1", "2"}, env: []string{"A=b"}}
	other := []base{{name: "y", parts: b.parts, env: b.env}, {name: "x", parts: []string{"1", "3"}, env: b.env}, {name: "x", parts: b.parts}}
	for _, o := range other {
		if o.key() == b.key() {
			t.Errorf("%+v and %+v have the same key", o, b)
		}
	}
}

func TestFind_Refusals(t *testing.T) {
	ok := options{busybox: "/bin/busybox"}
	for _, c := range []struct {
		name string
		o    options
	}{
		{"perl", ok}, {"testapp", ok}, {"bare", options{busybox: "/bin/none"}}, {"bare", options{busybox: "/bin/sh"}},
	} {
		if _, err := find(c.name, c.o); err == nil {
			t.Errorf("find(%q, %+v) refused nothing", c.name, c.o)
		}
	}
}
