package nginx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"lain.internal/lain/failpoint"
)

// Rotate sets a log aside that has grown beyond limit bytes, as LOG.1, .2 and so on up to kept, of which the oldest is
// lost, and has nginx open new ones. No line of nginx's is lost on the way, also not where we died half-way: a log that
// was set aside and has no successor is opened anew as well. Where nginx does not run, nothing is done.
func (s *Server) Rotate(limit int64, kept int) error {
	if !s.Alive() {
		return nil
	}
	reopen := false
	for _, log := range []string{s.Files.AccessLog, s.Files.ErrorLog} {
		moved, err := setAside(log, limit, kept)
		if err != nil {
			return fmt.Errorf("rotate the router's logs: %w", err)
		}
		reopen = reopen || moved
	}
	if !reopen {
		return nil
	}
	return failpoint.Around("router.nginx.reopen", func() error { return s.child.Signal(syscall.SIGUSR1) })
}

// setAside reports whether the log was set aside, now or before, and nginx has not opened a new one.
func setAside(log string, limit int64, kept int) (bool, error) {
	info, err := os.Stat(log)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := os.Stat(older(log, 1))
		return err == nil, nil
	}
	if err != nil || info.Size() <= limit {
		return false, err
	}
	for n := kept - 1; n >= 1; n-- {
		if err := os.Rename(older(log, n), older(log, n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, os.Rename(log, older(log, 1))
}

func older(log string, n int) string { return fmt.Sprintf("%s.%d", log, n) }
