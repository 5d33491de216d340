package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"lain.internal/lain/archive"
	"lain.internal/lain/lain/fault"
)

// The control socket is the way in for root on this machine, into a server that runs. Its folder is closed to
// everybody else before it is made.

const backupTrailer = "Lain-Backup" // how it ended: outcome as JSON

// outcome is what is known of a backup only when it is over.
type outcome struct {
	Summary  archive.Summary `json:"summary"`
	Kind     fault.Kind      `json:"kind,omitempty"` // "": it is whole
	Sentence string          `json:"sentence,omitempty"`
	Hint     string          `json:"hint,omitempty"`
}

func (c Config) controlSocket() string { return filepath.Join(c.Run, "control", "laind.sock") }

func (s *server) startControl(context.Context) error {
	socket := s.c.controlSocket()
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(socket), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(socket); err != nil { // of a server that was killed: the store's lock is ours
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	stopping, stop := context.WithCancelCause(context.Background())
	mux.Handle("POST /backup", s.backups(stopping))
	s.serveHTTP("control", l, mux)
	s.onStop("backups", func(context.Context) error { stop(errStopping); return nil })
	return nil
}

var errStopping = fault.New(fault.Unavailable, "laind is shutting down").WithHint("Run the backup again; it works without a server, too.")

// backups streams an archive in the clear. The client encrypts: no key ever comes here. A backup does not keep
// the server from stopping.
func (s *server) backups(stopping context.Context) http.Handler {
	var one sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", backupTrailer)
		if !one.TryLock() {
			end(w, archive.Summary{}, fault.New(fault.Conflict, "another backup is being written"))
			return
		}
		defer one.Unlock()
		s.log.Info("a backup begins")
		ctx, cancel := context.WithCancelCause(r.Context())
		defer context.AfterFunc(stopping, func() { cancel(context.Cause(stopping)) })()
		sum, err := s.c.source(s.store, s.gate, s.own).Write(ctx, w)
		s.log.Info("a backup ended", "revision", sum.Revision, "bytes", sum.Bytes, "error", err)
		end(w, sum, err)
	})
}

func end(w http.ResponseWriter, sum archive.Summary, err error) {
	o := outcome{Summary: sum}
	if err != nil {
		f := fault.Of(err)
		o.Kind, o.Sentence, o.Hint = f.Kind, f.Error(), f.Hint
		if f.Kind == fault.Internal { // only root reads it, who would otherwise have to look into the log
			o.Sentence = err.Error()
		}
	}
	text, err := json.Marshal(o)
	if err == nil {
		w.Header().Set(backupTrailer, string(text))
	}
}

// errNotRunning means that no server listens.
var errNotRunning = errors.New("laind does not run")

// running reports whether a server listens with these settings.
func running(c Config) bool {
	conn, err := net.Dial("unix", c.controlSocket())
	return err == nil && conn.Close() == nil
}

// askForBackup lets the running server write its archive to w.
func askForBackup(ctx context.Context, c Config, w io.Writer) (archive.Summary, error) {
	if !running(c) {
		return archive.Summary{}, errNotRunning
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.controlSocket())
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://laind/backup", nil)
	if err != nil {
		return archive.Summary{}, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return archive.Summary{}, fmt.Errorf("ask laind for a backup: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return archive.Summary{}, fmt.Errorf("ask laind for a backup: %s", resp.Status)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return archive.Summary{}, fmt.Errorf("receive the backup: %w", err)
	}
	return ended(resp.Trailer.Get(backupTrailer))
}

// ended reads the trailer: without one the server died.
func ended(trailer string) (archive.Summary, error) {
	var o outcome
	if err := json.Unmarshal([]byte(trailer), &o); err != nil {
		return o.Summary, fault.Hide(fault.Unavailable, err, "laind ended in the midst of the backup")
	}
	if o.Kind != "" {
		return o.Summary, fault.New(o.Kind, "%s", o.Sentence).WithHint("%s", o.Hint)
	}
	return o.Summary, nil
}
