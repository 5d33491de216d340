package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

func TestLoaded(t *testing.T) {
	const whole = "/usr/bin/python3:\n\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n" +
		"/usr/lib/x.so:\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\tstatically linked\n"
	got, err := loaded(whole)
	if want := []string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, err, want)
	}
	if got, err := loaded("\tlibgone.so.1 => not found\n"); err == nil {
		t.Errorf("a library that is missing: %q and no error", got)
	}
}

// The key of an image names what its program loads: any other file in its folders, or one with other content, is another image.
func TestWeigh(t *testing.T) {
	tree := t.TempDir()
	sum := func() string {
		t.Helper()
		libraries, sum, err := weigh("/bin/sh", []string{tree})
		if err != nil || !slices.ContainsFunc(libraries, func(s string) bool { return strings.Contains(s, "libc.so") }) {
			t.Fatalf("%q %v", libraries, err)
		}
		return sum
	}
	seen := []string{sum()}
	for name, content := range map[string]string{"a.py": "one", "b.py": "two"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, sum())
	}
	if err := os.WriteFile(filepath.Join(tree, "a.py"), []byte("ONE"), 0o600); err != nil {
		t.Fatal(err)
	}
	if seen = append(seen, sum()); seen[3] != sum() {
		t.Error("the same files have another sum")
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != 4 {
		t.Errorf("%d sums of 4 contents", n)
	}
}
