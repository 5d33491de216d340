package town

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Client gives a command to the developers' client, in the work tree of the application, with what it shall read. It
// reaches the server by the ssh of this machine, which is told of the key and of nothing else.
func (a *App) Client(t testing.TB, stdin string, words ...string) Result {
	t.Helper()
	cmd := exec.Command(Bin("lain"), words...)
	cmd.Dir, cmd.Stdin = a.Dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PATH="+a.sshDir(t)+":"+os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
	return run(t, cmd)
}

// sshDir is a folder with an ssh that has the options of SSHOptions without the port, which the remote names.
func (a *App) sshDir(t testing.TB) string {
	t.Helper()
	real, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	options := a.town.SSHOptions(a.Key)
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", real, strings.Join(append(options[:4:4], options[6:]...), " "))
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
