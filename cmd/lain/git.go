package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
)

// git asks the real git about the current repository, and returns what it prints.
func git(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // for outside
	out, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.Hide(fault.Unavailable, err, "git is not installed here").WithHint("Install git, or say where to go: --host lain")
	case errors.As(err, &failed):
		said := strings.TrimSpace(string(failed.Stderr))
		return "", fault.New(fault.Failed, "git %s: %s", args[0], strings.TrimPrefix(said, "fatal: "))
	case err != nil:
		return "", fault.New(fault.Failed, "git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// outside says whether git failed because there is no repository here. Any other failure is one to be told.
func outside(err error) bool {
	return err != nil && strings.Contains(err.Error(), "not a git repository")
}

// remotes are those of the current repository; none outside of one.
func remotes() ([]remote.Remote, error) {
	out, err := git("remote", "-v")
	if outside(err) {
		return nil, nil
	}
	return remote.List(out), err
}
