package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// place is where a restore puts its data folder, and the staging folder beside it, on the same file system, in
// which everything is made first. The staging folder is locked for as long as the restore lives, so that a later
// one knows a leftover from one that is at work.
type place struct {
	data    string
	staging string
	lock    *os.File
}

// prepare looks whether the data folder may be replaced, and makes an empty staging folder.
func prepare(data string, force bool) (*place, error) {
	data = filepath.Clean(data)
	if err := vacant(data, force); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o755); err != nil {
		return nil, fmt.Errorf("folder above the data folder: %w", err)
	}
	p := &place{data: data, staging: data + ".restoring"}
	if err := p.claim(); err != nil {
		return nil, err
	}
	return p, nil
}

// vacant refuses a data folder that holds something (unless it may be moved aside), is in use, or cannot be
// moved.
func vacant(data string, force bool) error {
	info, err := os.Lstat(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if !info.IsDir() {
		return fault.New(fault.Conflict, "%s is no folder", data).WithHint("Where it is a link, give --data the folder it leads to.")
	}
	if mounted(data) {
		return fault.New(fault.Conflict, "%s is a mount point, and a restore must be able to put another folder in its place", data).
			WithHint("Mount the disk one level higher, or give --data a folder inside it.")
	}
	if pid, program := user(data); pid != 0 {
		return fault.New(fault.Conflict, "%s (pid %d) still works in %s", program, pid, data).
			WithHint("Stop laind, then run: laind down")
	}
	empty, err := isEmpty(data)
	if err != nil || empty || force {
		return err
	}
	return fault.New(fault.Conflict, "%s is not empty", data).
		WithHint("With --force it is moved aside, to %s.before-TIME; nothing is deleted.", data)
}

func isEmpty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("data folder: %w", err)
	}
	return len(entries) == 0, nil
}

// mounted reports whether another file system begins at dir. (A bind mount of the same one is not seen, but fails
// to be moved.)
func mounted(dir string) bool {
	var own, above unix.Stat_t
	return unix.Stat(dir, &own) == nil && unix.Stat(filepath.Dir(dir), &above) == nil && own.Dev != above.Dev
}

// user finds a process that has a file below dir open: a laind, or what outlives it. It sees those of this
// machine's own pid namespace.
func user(dir string) (pid int, program string) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range open {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, dir+"/") {
			continue
		}
		owner := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(owner))
		if err != nil || pid == os.Getpid() {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join(owner, "comm"))
		return pid, string(bytes.TrimSpace(comm))
	}
	return 0, ""
}

// claim locks the staging folder and empties it of what a killed restore left.
func (p *place) claim() error {
	if err := os.Mkdir(p.staging, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("staging folder: %w", err)
	}
	lock, err := os.OpenFile(p.staging, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("staging folder: %w", err)
	}
	p.lock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fault.Hide(fault.Conflict, err, "another restore is at work in %s", p.staging), lock.Close())
	}
	entries, err := os.ReadDir(p.staging)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(p.staging, e.Name())))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("empty the staging folder: %w", err), lock.Close())
	}
	return nil
}

// abandon removes the staging folder. It may be called once swap has failed, but not when it has not.
func (p *place) abandon() error { return os.RemoveAll(p.staging) }

// leave unlocks the staging folder, whatever its name is now.
func (p *place) leave() error { return p.lock.Close() }

// swap puts the staging folder in the place of the data folder, in one step, and tells where the old one is now
// ("" when there was none, or an empty one). All that was staged is on disk before.
func (p *place) swap(now time.Time) (before string, err error) {
	if err := unix.Syncfs(int(p.lock.Fd())); err != nil {
		return "", fmt.Errorf("sync what was restored: %w", err)
	}
	if err := os.Chmod(p.staging, 0o711); err != nil { // git's user must pass through it
		return "", err
	}
	empty, err := isEmpty(p.data)
	if errors.Is(err, fs.ErrNotExist) || err == nil && empty {
		err = failpoint.Around("archive.place", func() error { return unix.Rename(p.staging, p.data) }) // os.Rename refuses an empty folder
	} else if err == nil {
		before, err = p.exchange(now)
	}
	if err != nil {
		return "", fmt.Errorf("put the restored folder in place: %w", err)
	}
	return before, nil
}

// exchange gives the staging folder the name that the old folder is to have, and then swaps the two: a kill in
// between leaves the old one in its place.
func (p *place) exchange(now time.Time) (before string, err error) {
	before = p.data + ".before-" + now.UTC().Format("20060102T150405Z")
	if _, err := os.Lstat(before); !errors.Is(err, fs.ErrNotExist) {
		return "", fault.Hide(fault.Conflict, err, "%s is there already", before)
	}
	if err := failpoint.Around("archive.name", func() error { return os.Rename(p.staging, before) }); err != nil {
		return "", err
	}
	p.staging = before
	err = failpoint.Around("archive.exchange", func() error {
		return unix.Renameat2(unix.AT_FDCWD, before, unix.AT_FDCWD, p.data, unix.RENAME_EXCHANGE)
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EBUSY) {
		return "", fault.Hide(fault.Conflict, err, "this file system cannot let two folders change places").
			WithHint("Move %s aside by hand and restore without --force.", p.data)
	}
	return before, err
}
