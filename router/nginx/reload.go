package nginx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"lain.internal/lain/failpoint"
)

const (
	reloadLimit = 5 * time.Second
	askLimit    = time.Second
)

var errGone = errors.New("nginx is not running")

// Generation asks the running nginx which configuration it serves.
func (s *Server) Generation(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", s.Files.Control)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/", nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", fmt.Errorf("ask nginx for its generation: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask nginx for its generation: status %d: %w", response.StatusCode, err)
	}
	return strings.TrimSpace(string(body)), nil
}

// Reload tells nginx to take the configuration in place and returns once it lives: a new worker answers
// with its generation, and none of the workers before it takes connections any more.
func (s *Server) Reload(ctx context.Context, generation string) error {
	if !s.Alive() {
		return errGone
	}
	before, err := children(s.child.PID())
	if err != nil {
		return err
	}
	before = listening(before)
	if err := failpoint.Around("router.nginx.reload", func() error { return s.child.Signal(syscall.SIGHUP) }); err != nil {
		return fmt.Errorf("reload nginx: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	lives := func() bool {
		got, err := s.Generation(bounded)
		return !s.Alive() || err == nil && got == generation && allRetired(before)
	}
	if err := poll(bounded, lives); err != nil {
		return fmt.Errorf("nginx did not take the new configuration (%s): %w", s.lastWords(), err)
	}
	if !s.Alive() {
		return errGone
	}
	return s.prune(time.Now())
}
