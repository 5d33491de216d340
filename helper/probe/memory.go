package probe

import (
	"errors"

	"golang.org/x/sys/unix"
)

// wellKey and sickKey name the segments that stand for "a probe has succeeded" and "the last one failed" in the
// container's IPC namespace. Any numbers would do; these nobody chooses by counting: "lain" and "sick" in hexadecimal.
const (
	wellKey = 0x6c61696e
	sickKey = 0x7369636b
)

// segments is the memory described in the package's documentation.
type segments struct{ well, sick fallback }

// newMemory keeps its files, where they are needed, at a path and beside it; "" keeps none.
func newMemory(file string) memory {
	m := segments{well: fallback{segment(wellKey), mark(file)}, sick: fallback{segment(sickKey), mark("")}}
	if file != "" {
		m.sick.second = mark(file + "-sick")
	}
	return m
}

func (m segments) succeeded() bool { return m.well.there() }
func (m segments) failing() bool   { return m.sick.there() }

func (m segments) remember(well bool) {
	switch {
	case !well:
		m.sick.make()
		return
	case m.sick.there():
		m.sick.remove()
	}
	m.well.make()
}

// Well reports whether the last probe of this container succeeded, as far as its memory tells.
func Well() bool {
	m := newMemory(DefaultState)
	return m.succeeded() && !m.failing()
}

// fallback asks both, and makes the second only where the first cannot be made.
type fallback struct {
	first  segment
	second mark
}

func (f fallback) there() bool { return f.first.there() || f.second.there() }

func (f fallback) make() {
	if err := f.first.make(); err != nil && !errors.Is(err, unix.EEXIST) {
		f.second.make()
	}
}

func (f fallback) remove() {
	f.first.remove()
	f.second.remove()
}

// segment is a System V shared memory segment: it lives as long as the namespace, whoever made it.
type segment int

// there asks for no access to the segment, so another user's counts as well.
func (s segment) there() bool {
	_, err := unix.SysvShmGet(int(s), 0, 0)
	return err == nil
}

func (s segment) make() error {
	_, err := unix.SysvShmGet(int(s), 1, unix.IPC_CREAT|unix.IPC_EXCL|0o600)
	return err
}

// remove works for whoever made it. Where it does not, the probes go on as after a failure, which is only more work.
func (s segment) remove() {
	if id, err := unix.SysvShmGet(int(s), 0, 0); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
}

// mark is an empty file; "" is none.
type mark string

// there does not follow a link: the folder is writable for everybody.
func (m mark) there() bool {
	var st unix.Stat_t
	return m != "" && unix.Lstat(string(m), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

func (m mark) remove() {
	if m.there() {
		_ = unix.Unlink(string(m))
	}
}

func (m mark) make() {
	if m == "" {
		return
	}
	fd, err := unix.Open(string(m), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
}
