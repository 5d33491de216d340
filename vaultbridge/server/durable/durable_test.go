package durable

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
)

func openIn(t *testing.T, dir string) *Backend {
	t.Helper()
	b, err := Open(filepath.Join(dir, "core"), filepath.Join(dir, "temp"), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackend_isAVaultBackend(t *testing.T) {
	b := openIn(t, t.TempDir())
	physical.ExerciseBackend(t, b)
	physical.ExerciseBackend_ListPrefix(t, b)
}

func TestBackend_vaultsOwnReadsIt(t *testing.T) {
	dir := t.TempDir()
	value := bytes.Repeat([]byte{0, 1, 255}, 1000)
	if err := openIn(t, dir).Put(t.Context(), &physical.Entry{Key: "a/b/c", Value: value}); err != nil {
		t.Fatal(err)
	}
	own, err := file.NewFileBackend(map[string]string{"path": filepath.Join(dir, "core")}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := own.Get(t.Context(), "a/b/c")
	if err != nil || entry == nil || !bytes.Equal(entry.Value, value) {
		t.Errorf("it reads %v, %v", entry, err)
	}
}

func TestOpen_forgetsWhatWasNotFinished(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	if _, err := b.write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	b = openIn(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "temp"))
	names, listed := b.List(t.Context(), "")
	if err != nil || listed != nil || len(left)+len(names) != 0 {
		t.Errorf("there lie %v and %v, %v, %v", left, names, err, listed)
	}
}

func TestBackend_refusesToLeaveItsFolder(t *testing.T) {
	b := openIn(t, t.TempDir())
	for _, key := range []string{"../x", "a/../../x", ".."} {
		if err := b.Put(t.Context(), &physical.Entry{Key: key}); err == nil {
			t.Errorf("%q was stored", key)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ended, &physical.Entry{Key: "x"}); err == nil {
		t.Error("stored for somebody who has gone")
	}
}

// Removing the last key of a folder removes the folder, while others put keys there.
func TestBackend_writersAndRemoversDoNotMeet(t *testing.T) {
	b := openIn(t, t.TempDir())
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range 25 {
				key := fmt.Sprintf("deep/er/%d", w)
				if err := b.Put(t.Context(), &physical.Entry{Key: key, Value: []byte{byte(n)}}); err != nil {
					t.Error(err)
				}
				if e, err := b.Get(t.Context(), key); err != nil || e == nil || e.Value[0] != byte(n) {
					t.Errorf("%s: %v, %v", key, e, err)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var left []string
	err := filepath.WalkDir(b.dir, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, b.dir))
		return err
	})
	if err != nil || !slices.Equal(left, []string{""}) {
		t.Errorf("there lie %v, %v", left, err)
	}
}

func TestBackend_filesAreTheirOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	if err := b.Put(t.Context(), &physical.Entry{Key: "a/b", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"core": 0o700, "temp": 0o700, "core/a": 0o700, "core/a/_b": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
