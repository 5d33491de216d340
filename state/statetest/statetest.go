// Package statetest gives tests a real store: an embedded etcd of their own, gone when the test is.
package statetest

import (
	"os"
	"path/filepath"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// Cluster is the one that the stores of tests belong to.
const Cluster lain.Cluster = "test"

// Open starts an embedded store in a folder of the test's own. The test's cleanup closes it; closing it
// earlier does no harm.
func Open(t testing.TB) *state.Store {
	t.Helper()
	return OpenAt(t, t.TempDir())
}

// OpenAt is Open on a given folder, so that a test can close a store and open it again.
func OpenAt(t testing.TB, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), state.Options{Dir: dir, Socket: socket(t), Cluster: Cluster})
	if err != nil {
		t.Fatalf("open a store for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store of the test: %v", err)
		}
	})
	return s
}

// socket is a path that is short enough whatever the test is called.
func socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lain-state-")
	if err != nil {
		t.Fatalf("make a folder for the socket: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "etcd.sock")
}
