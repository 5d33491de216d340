package main

import (
	"errors"
	"os/exec"
	"strings"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
)

// git asks the real git about the current repository, and returns what it prints.
func git(args ...string) (string, error) {
	out, err := exec.Command("git", args...).Output()
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

// remotes are those of the current repository; none outside of one.
func remotes() ([]remote.Remote, error) {
	out, err := git("remote", "-v")
	if err != nil && !inRepository() && fault.Of(err).Kind == fault.Failed {
		return nil, nil
	}
	return remote.List(out), err
}

func inRepository() bool {
	_, err := git("rev-parse", "--git-dir")
	return err == nil
}
