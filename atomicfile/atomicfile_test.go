package atomicfile

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func TestWrite_replacesContentAndMode(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "conf")
	for _, c := range []struct {
		data string
		perm os.FileMode
	}{{"one", 0o600}, {"", 0o644}, {"three", 0o640}} {
		if err := Write(path, []byte(c.data), c.perm); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != c.data || info.Mode() != c.perm {
			t.Errorf("got %q %v, %v; want %q %v", got, info.Mode(), err, c.data, c.perm)
		}
	}
	alone(t, path)
}

func TestWrite_aFailureLeavesTheOldFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("x"), 0o644); err == nil {
		t.Error("a folder was replaced")
	}
	alone(t, path)
	if err := Write(filepath.Join(dir, "none", "conf"), []byte("x"), 0o644); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

func TestWrite_replacesALinkInsteadOfItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(t.TempDir(), "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "kept" {
		t.Errorf("the target now holds %q", got)
	}
}

func TestWrite_readersSeeAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<17)
	if err := Write(path, a, 0o644); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, data := range [][]byte{a, b} {
		writers.Go(func() {
			for range 50 {
				if err := Write(path, data, 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
	}
	alone(t, path)
}

// alone checks that no temporary file is left beside path.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside %s lie %v, %v", path, entries, err)
	}
}

func TestEnsureWritesOnlyWhatDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var last os.FileInfo
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		written       bool
	}{
		{"no file", "one", 0o600, true},
		{"the same", "one", 0o600, false},
		{"another content", "two", 0o600, true},
		{"another mode", "two", 0o644, true},
	} {
		if err := Ensure(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.content || now.Mode() != c.mode || (last == nil || !os.SameFile(last, now)) != c.written {
			t.Errorf("%s: %q, mode %v, %v", c.name, got, now.Mode(), err)
		}
		last = now
	}
}
