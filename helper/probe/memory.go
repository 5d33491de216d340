package probe

import (
	"errors"

	"golang.org/x/sys/unix"
)

// segmentKey names the segment that stands for "a probe has succeeded" in the container's IPC namespace.
// Any number would do; this one nobody chooses by counting. It is "lain" in hexadecimal.
const segmentKey = 0x6c61696e

// newMemory is the memory described in the package's documentation.
func newMemory(file string) memory { return fallback{segment(segmentKey), mark(file)} }

// fallback asks both, and writes the second only where the first cannot.
type fallback struct {
	first interface {
		succeeded() bool
		create() error
	}
	second memory
}

func (f fallback) succeeded() bool { return f.first.succeeded() || f.second.succeeded() }

func (f fallback) remember() {
	if err := f.first.create(); err != nil && !errors.Is(err, unix.EEXIST) {
		f.second.remember()
	}
}

// segment is a System V shared memory segment: it lives as long as the namespace, whoever made it.
type segment int

// succeeded asks for no access to the segment, so another user's counts as well.
func (s segment) succeeded() bool {
	_, err := unix.SysvShmGet(int(s), 0, 0)
	return err == nil
}

func (s segment) create() error {
	_, err := unix.SysvShmGet(int(s), 1, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
	return err
}

// mark is an empty file; "" remembers nothing.
type mark string

// succeeded does not follow a link: the folder is writable for everybody.
func (m mark) succeeded() bool {
	var st unix.Stat_t
	return m != "" && unix.Lstat(string(m), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

func (m mark) remember() {
	if m == "" {
		return
	}
	fd, err := unix.Open(string(m), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
}
