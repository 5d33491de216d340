package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"lain.internal/lain/archive"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// backedUp is a server with a store and a data folder, and nothing else.
func backedUp(t *testing.T) *server {
	t.Helper()
	run, err := os.MkdirTemp("", "lain-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	s := &server{c: Config{Cluster: string(statetest.Cluster), Data: filepath.Join(t.TempDir(), "data"), Run: run}, gate: archive.NewGate(),
		log: slog.New(slog.DiscardHandler)}
	if err := os.MkdirAll(s.dataDir("ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.dataDir("ssh/key"), []byte("a host key"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.store = statetest.OpenAt(t, s.dataDir("etcd"))
	if _, err := state.Of[lain.App](s.store, lain.AppsPrefix).Put(t.Context(), "hello", lain.App{Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// serving opens the control socket, too.
func serving(t *testing.T) *server {
	t.Helper()
	s := backedUp(t)
	if err := s.startControl(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// job is one that backs up to a file in a folder of its own.
func job(t *testing.T) *archiveJob {
	t.Helper()
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identity := filepath.Join(dir, "identity")
	if err := os.WriteFile(identity, []byte(pair.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return &archiveJob{file: filepath.Join(dir, "lain.age"), asJSON: true,
		lock: archive.Lock{Recipients: []string{pair.Recipient().String()}}, key: archive.Key{IdentityFile: identity}}
}

func TestBackupAndRestore_ofAServerThatRuns(t *testing.T) {
	s, j := serving(t), job(t)
	if info, err := os.Stat(filepath.Dir(s.c.controlSocket())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the control socket's folder: %v, %v", info.Mode(), err)
	}
	if err := j.backup(t.Context(), s.c, s.log); err != nil {
		t.Fatal(err)
	}
	if err := j.restore(t.Context(), s.c, s.log); err == nil || !strings.Contains(err.Error(), "laind serves") {
		t.Errorf("a restore below a server that runs: %v", err)
	}
	restoredElsewhere(t, s, j)
}

func TestBackupAndRestore_ofAFolder(t *testing.T) {
	s, j := backedUp(t), job(t)
	if err := j.backup(t.Context(), s.c, s.log); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("beside a server that is not reached: %v", err)
	}
	if left, _ := filepath.Glob(j.file + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.backup(t.Context(), s.c, s.log); err != nil {
		t.Fatal(err)
	}
	restoredElsewhere(t, s, j)
}

func restoredElsewhere(t *testing.T, s *server, j *archiveJob) {
	t.Helper()
	c := s.c
	c.Data, c.Run = filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	if err := j.restore(t.Context(), c, s.log); err != nil {
		t.Fatal(err)
	}
	if key, err := os.ReadFile(filepath.Join(c.Data, "ssh", "key")); err != nil || string(key) != "a host key" {
		t.Errorf("%q, %v", key, err)
	}
	if _, err := state.Of[lain.App](statetest.OpenAt(t, filepath.Join(c.Data, "etcd")), lain.AppsPrefix).Get(t.Context(), "hello"); err != nil {
		t.Error(err)
	}
}

func TestBackup_refusals(t *testing.T) {
	s := backedUp(t)
	inside, open, nowhere := job(t), job(t), job(t)
	inside.file = s.dataDir("lain.age")
	open.lock = archive.Lock{}
	empty := s.c
	empty.Data = t.TempDir()
	for what, try := range map[string]func() error{
		"lies in the data folder": func() error { return inside.backup(t.Context(), s.c, s.log) },
		"encrypted only":          func() error { return open.backup(t.Context(), s.c, s.log) },
		"no control plane in":     func() error { return nowhere.backup(t.Context(), empty, s.log) },
		"cannot be read":          func() error { return nowhere.restore(t.Context(), empty, s.log) },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
	}
}

// A server that stops in the midst of a backup says so, and lets go.
func TestBackup_whileTheServerStops(t *testing.T) {
	s, begun := serving(t), make(chan struct{})
	s.log = slog.New(slog.NewTextHandler(&heard{"a backup begins", begun}, nil))
	in, leave, err := s.gate.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := askForBackup(context.Background(), s.c, io.Discard)
		ended <- err
	}()
	<-begun
	if err := s.stop(in); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("the backup ended with %v", err)
	}
	leave()
}

// heard closes its channel when the log says a word.
type heard struct {
	word string
	c    chan struct{}
}

func (h *heard) Write(line []byte) (int, error) {
	if h.word != "" && bytes.Contains(line, []byte(h.word)) {
		h.word = ""
		close(h.c)
	}
	return len(line), nil
}

func TestEnded_withoutATrailerTheServerDied(t *testing.T) {
	if _, err := ended(""); err == nil || !strings.Contains(err.Error(), "in the midst") {
		t.Errorf("%v", err)
	}
	w := httptest.NewRecorder()
	end(w, archive.Summary{Records: 3}, nil)
	if sum, err := ended(w.Header().Get(backupTrailer)); err != nil || sum.Records != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestProgress(t *testing.T) {
	var out, file bytes.Buffer
	p := &progress{w: &file, out: &out}
	_, err := p.Write(make([]byte, 2048))
	if n := p.done(); err != nil || n != 2048 || file.Len() != 2048 || !strings.Contains(out.String(), "2KiB") {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
	if _, err := json.Marshal(archive.Restored{}); err != nil {
		t.Error(err)
	}
}
