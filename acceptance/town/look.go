package town

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Processes are the processes on this machine, containers included, whose command line is argv, as this
// machine numbers them. A story gives its steps an argument that nobody else uses, and finds them by it.
func Processes(argv ...string) []int {
	want := []byte(strings.Join(argv, "\x00") + "\x00")
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(line, want) {
			continue // it ended meanwhile, or is another
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// BeginSSH gives a verb as the admin and returns while it runs.
func (tw *Town) BeginSSH(t testing.TB, words string) *Running {
	t.Helper()
	return Begin(t, exec.Command("ssh", append(tw.SSHOptions(tw.Key), "lain@"+tw.IP(), "--", words)...))
}

// Clone is the application as another developer has it: a work tree of their own, cloned from the server, with
// the key that is given ("": the same one).
func (a *App) Clone(t testing.TB, key string) *App {
	t.Helper()
	c := *a
	c.Dir, c.t = t.TempDir(), t
	if key != "" {
		c.Key = key
	}
	c.Git("clone", "-q", "-o", "lain", c.URL(), ".")
	return &c
}

// Ended reports whether the command has ended.
func (r *Running) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
