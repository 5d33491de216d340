package state

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTheDataFileHasRoomThatNobodyElseCanTake(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "etcd", "member", "snap")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "db")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := reserve(dir); err != nil {
			t.Fatal(err)
		}
	}
	var s syscall.Stat_t
	if err := syscall.Stat(file, &s); err != nil {
		t.Fatal(err)
	}
	if s.Size != 1<<20 || s.Blocks*512 < roomForData {
		t.Errorf("size %d, allocated %d", s.Size, s.Blocks*512)
	}
	if err := reserve(t.TempDir()); err == nil {
		t.Error("a store that is not there has room")
	}
}
