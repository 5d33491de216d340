package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// The names in the folder. The audit file is named by whoever switches the audit on.
const (
	storageDir = "core"
	tempDir    = "temp"
	lockFile   = "lock"
)

// harden keeps what is in memory there: files are made for their owner alone, there are no core dumps, nobody
// but root may look into the process, and no page that was touched is ever swapped. Where the machine does not
// let memory be locked, that is logged and it serves all the same.
func harden(log hclog.Logger) error {
	unix.Umask(0o077)
	err := errors.Join(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}), unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	if err != nil {
		return fmt.Errorf("switch core dumps off: %w", err)
	}
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		log.Warn("memory cannot be locked, so secrets may reach swap: give CAP_IPC_LOCK, or have no swap or an encrypted one", "error", err)
	}
	return nil
}

// enter makes the folder ours and works from there. What it returns lets go of it.
func enter(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another lain-vault serves %s: %w", dir, err), lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// listen makes the socket, in place of one that a dead process left. The lock of the folder is held, so there
// is no living one of ours behind it.
func listen(socket string) (net.Listener, error) {
	if !filepath.IsAbs(socket) {
		return nil, fmt.Errorf("the socket %s needs an absolute path", socket)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a left socket: %w", err)
	}
	door, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	return door, os.Chmod(socket, 0o600)
}
