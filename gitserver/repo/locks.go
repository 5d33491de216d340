package repo

import (
	"os"
	"time"
)

// staleLock is the age from which a lock file is taken for that of a git which lost its power: git holds
// one for milliseconds.
const staleLock = time.Minute

// dropStaleLocks removes the lock files that would keep a ref from ever moving again, and reports whether
// there were any. The repository belongs to git's user, so no link in it is followed out of it.
func (r *Repository) dropStaleLocks(ref string) bool {
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return false
	}
	defer root.Close()
	dropped := false
	for _, name := range []string{ref + ".lock", "packed-refs.lock", "HEAD.lock"} {
		info, err := root.Lstat(name)
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleLock {
			dropped = root.Remove(name) == nil || dropped
		}
	}
	return dropped
}
