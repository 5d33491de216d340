package nginx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"lain.internal/lain/atomicfile"
	"lain.internal/lain/failpoint"
)

const testLimit = 30 * time.Second

// RefusedError is nginx's own word against a configuration.
type RefusedError struct{ Message string } // one line, without file names

func (e *RefusedError) Error() string { return "nginx refuses the configuration: " + e.Message }

// Test asks nginx about a configuration without touching the one in place. *RefusedError: nginx read it
// and said no; any other error says nothing about the configuration.
func (s *Server) Test(ctx context.Context, text []byte) error {
	err := failpoint.Around("router.nginx.candidate", func() error {
		return os.WriteFile(s.Files.Candidate, text, 0o644)
	})
	if err != nil {
		return fmt.Errorf("write the configuration under test: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.options.Program, "-t", "-q", "-p", s.options.Dir, "-e", "stderr", "-c", s.Files.Candidate)
	cmd.Env = environment
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if message := complaint(string(out)); message != "" && ctx.Err() == nil {
		return &RefusedError{Message: message}
	}
	return fmt.Errorf("nginx -t: %w: %.500s", errors.Join(err, ctx.Err()), out)
}

// Install puts a tested configuration in place, whole. nginx goes on with the old one until Reload.
func (s *Server) Install(text []byte) error {
	err := failpoint.Around("router.nginx.install", func() error {
		return atomicfile.Write(s.Files.Config, text, 0o644)
	})
	if err != nil {
		return fmt.Errorf("put the configuration in place: %w", err)
	}
	return nil
}

// Installed tells whether any configuration is in place.
func (s *Server) Installed() bool {
	info, err := os.Stat(s.Files.Config)
	return err == nil && info.Size() > 0
}

// environment is all that nginx gets of ours. It must not be empty: nginx writes its title over it.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

var (
	emergency = regexp.MustCompile(`\[emerg\] (?:\d+#\d+: )?(.*)`)
	position  = regexp.MustCompile(` in /\S+:\d+$`)
)

// complaint is the first emergency in nginx's output, without the place in a file nobody wrote.
func complaint(out string) string {
	m := emergency.FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(position.ReplaceAllString(strings.TrimSpace(m[1]), ""))
}
