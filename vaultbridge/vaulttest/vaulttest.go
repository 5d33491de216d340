// Package vaulttest gives tests the real Vault that they need.
//
// It builds nothing: `make build` makes lain-vault, once for each state of its sources.
package vaulttest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"lain.internal/lain/vaultbridge/local"
)

// Binary is the lain-vault of LAIN_VAULT, or else of the clone's bin. Without one the test fails.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("LAIN_VAULT")
	if path == "" {
		_, here, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(here), "../../bin/lain-vault")
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		t.Fatalf("this test needs a real Vault, and there is no lain-vault at %s: run make build, or name one in LAIN_VAULT", path)
	}
	return path
}

// Options are for a Vault in a folder of this test, with a path that is short enough for a socket.
func Options(t testing.TB) local.Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "lv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return local.Options{Binary: Binary(t), Dir: filepath.Join(dir, "vault"), RunDir: filepath.Join(dir, "run"),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// Start runs a new Vault, unsealed and set up, for as long as the test runs. Nobody watches it: a test that
// wants that calls Run.
func Start(t testing.TB) *local.Vault {
	t.Helper()
	o := Options(t)
	v, err := local.Start(t.Context(), o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := local.Down(ctx, o); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
