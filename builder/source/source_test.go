package source

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
)

var commitTime = time.Unix(1_700_000_000, 0)

type entry struct {
	name, body, link string
	flag             byte
	mode             int64
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if e.flag == 0 {
			e.flag = tar.TypeReg
		}
		h := &tar.Header{Name: e.name, Typeflag: e.flag, Linkname: e.link, Mode: e.mode, Size: int64(len(e.body)), Format: tar.FormatPAX}
		if e.flag != tar.TypeReg {
			h.Size = 0
		}
		if e.flag == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.flag, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "abc"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestUnpackKeepsFilesLinksModesAndTimes(t *testing.T) {
	dir := t.TempDir()
	data := archive(t,
		entry{flag: tar.TypeXGlobalHeader},
		entry{name: "a/", flag: tar.TypeDir, mode: 0o777},
		entry{name: "a/run.sh", body: "#!/bin/sh\n", mode: 0o4775},
		entry{name: "b/c/deep.txt", body: "x", mode: 0o666},
		entry{name: "link", flag: tar.TypeSymlink, link: "/etc/passwd"},
		entry{name: "dangling", flag: tar.TypeSymlink, link: "../../../nowhere"},
		entry{name: "empty"},
		entry{name: "leerzeichen und ümlaut.txt", body: "ok"},
	)
	if err := Unpack(bytes.NewReader(data), dir, Options{Time: commitTime}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/run.sh": "-rwxr-xr-x", "b/c/deep.txt": "-rw-r--r--", "a": "drwxr-xr-x", "b": "drwxr-xr-x", "link": "Lrwxrwxrwx", "empty": "-rw-r--r--", ".": ""} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if want != "" && info.Mode().String() != want {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), want)
		}
		if !info.ModTime().Equal(commitTime) {
			t.Errorf("%s has time %s", name, info.ModTime())
		}
	}
	if got, _ := os.Readlink(filepath.Join(dir, "link")); got != "/etc/passwd" {
		t.Errorf("link points to %q", got)
	}
}

func TestUnpackRefuses(t *testing.T) {
	cases := map[string]struct {
		entries []entry
		want    string
	}{
		"absolute":             {[]entry{{name: "/etc/passwd"}}, "plain path"},
		"dot dot":              {[]entry{{name: "../x"}}, "leaves the repository"},
		"inner dot dot":        {[]entry{{name: "a/../../x"}}, "plain path"},
		"git directory":        {[]entry{{name: "a/.GIT/config"}}, ".git"},
		"git file":             {[]entry{{name: ".git"}}, ".git"},
		"newline":              {[]entry{{name: "a\nb"}}, "control"},
		"escape":               {[]entry{{name: "a\x1b[2Jb"}}, "control"},
		"c1 control":           {[]entry{{name: "a\u009bb"}}, "control"},
		"long part":            {[]entry{{name: strings.Repeat("x", 256)}}, "255"},
		"long path":            {[]entry{{name: strings.Repeat("x/", 2100) + "y"}}, "4096"},
		"hard link":            {[]entry{{name: "a"}, {name: "b", flag: tar.TypeLink, link: "a"}}, "neither"},
		"device":               {[]entry{{name: "a", flag: tar.TypeChar}}, "neither"},
		"fifo":                 {[]entry{{name: "a", flag: tar.TypeFifo}}, "neither"},
		"twice":                {[]entry{{name: "a"}, {name: "a"}}, "twice"},
		"through a link":       {[]entry{{name: "a", flag: tar.TypeSymlink, link: "/tmp"}, {name: "a/x"}}, "no directory"},
		"through an inner one": {[]entry{{name: "d/", flag: tar.TypeDir}, {name: "a", flag: tar.TypeSymlink, link: "d"}, {name: "a/x"}}, "no directory"},
		"below a file":         {[]entry{{name: "a"}, {name: "a/x"}}, "no directory"},
		"replaces a directory": {[]entry{{name: "a/x"}, {name: "a", flag: tar.TypeSymlink, link: "/"}}, "twice"},
		"lfs":                  {[]entry{{name: "logo.png", body: lfsPointer + "oid sha256:1\nsize 3\n"}}, "logo.png is a Git LFS pointer"},
		"too many":             {[]entry{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}, {name: "e"}, {name: "f"}}, "more than 5"},
		"too many parents":     {[]entry{{name: "a/b/c/d/e/f/g"}}, "more than 5"},
		"too large":            {[]entry{{name: "a", body: strings.Repeat("x", 3000)}, {name: "b", body: strings.Repeat("x", 3000)}}, "b is where"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := Unpack(bytes.NewReader(archive(t, c.entries...)), t.TempDir(), Options{MaxEntries: 5, MaxBytes: 5000})
			var said *fault.Fault
			if !errors.As(err, &said) || !strings.Contains(said.Sentence, c.want) {
				t.Fatalf("got %v, want a sentence with %q", err, c.want)
			}
			if len(said.Sentence) > 300 || strings.ContainsAny(said.Sentence, "\n\x1b") {
				t.Errorf("not fit for a terminal: %q", said.Sentence)
			}
		})
	}
}

func TestUnpackTakesFilesThatOnlyLookLikePointers(t *testing.T) {
	dir := t.TempDir()
	data := archive(t, entry{name: "doc", body: "version https://git-lfs.github.com/spec/v10\n"}, entry{name: "short", body: "version"})
	if err := Unpack(bytes.NewReader(data), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "short"))
	if string(got) != "version" {
		t.Errorf("short is %q", got)
	}
}

// zeros is an archive of one 2 GiB file of zeros that counts what is asked of it.
type zeros struct {
	head []byte
	read int64
}

func (z *zeros) Read(p []byte) (int, error) {
	n := copy(p, z.head)
	z.head = z.head[n:]
	if n == 0 {
		clear(p)
		n = len(p)
	}
	z.read += int64(n)
	return n, nil
}

func TestUnpackStopsEarlyAtABomb(t *testing.T) {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: 2 << 30}); err != nil {
		t.Fatal(err)
	}
	in := &zeros{head: buf.Bytes()}
	err := Unpack(in, t.TempDir(), Options{MaxBytes: 1 << 30})
	if err == nil || in.read > 1<<20 {
		t.Fatalf("got %v after %d bytes", err, in.read)
	}
}

func TestUnpackNoticesACutArchive(t *testing.T) {
	whole := archive(t, entry{name: "a", body: "1"}, entry{name: "b", body: "2"})
	if err := Unpack(bytes.NewReader(whole), t.TempDir(), Options{}); err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole)-1024; cut += 128 { // 1024 of the entry after b are not the end marker yet
		if err := Unpack(bytes.NewReader(whole[:cut]), t.TempDir(), Options{}); err == nil {
			t.Errorf("an archive cut at %d of %d was taken for a whole one", cut, len(whole))
		}
	}
}

func TestUnpackReadsGitArchive(t *testing.T) {
	repo := t.TempDir()
	script := `git init -q . && mkdir -p src && echo hi > src/a && ln -s src/a l && printf 'x' > x.sh && chmod +x x.sh &&
git add . && git -c user.name=a -c user.email=a@b commit -qm one`
	run(t, repo, "sh", "-c", script)
	dir := t.TempDir()
	if err := Unpack(bytes.NewReader(run(t, repo, "git", "archive", "HEAD")), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
		rel, _ := filepath.Rel(dir, p)
		got = append(got, rel)
		return nil
	})
	if want := ". l src src/a x.sh"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// FuzzUnpack holds the promise that nothing is ever written beside the directory.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, entry{name: "a/b", body: "x"}, entry{name: "l", flag: tar.TypeSymlink, link: "a"}))
	f.Add(archive(f, entry{name: "l", flag: tar.TypeSymlink, link: ".."}, entry{name: "l/escaped", body: "x"}))
	f.Add(archive(f, entry{flag: tar.TypeXGlobalHeader}, entry{name: "../escaped"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Unpack(bytes.NewReader(data), dir, Options{MaxEntries: 50, MaxBytes: 1 << 16})
		beside, err := os.ReadDir(outer)
		if err != nil || len(beside) != 1 {
			t.Fatalf("%d entries beside the directory, %v", len(beside)-1, err)
		}
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
				t.Fatalf("%q is a %s", p, d.Type())
			}
			return err
		})
	})
}
