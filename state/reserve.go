package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lain.internal/lain/failpoint"
)

// roomForData is how much of the disk the data file has for itself behind its end at a start, in bytes. etcd ends its
// process when it can't write; with this and the log, which it allocates ahead itself, some hundred thousand small
// writes still succeed on a disk that others have filled.
const roomForData = 32 << 20

// reserve allocates room behind the end of etcd's data file, whose size does not change. It may be repeated. File
// systems that can't do it are left alone.
func reserve(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "etcd", "member", "snap", "db"), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("keep room for the state store: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("keep room for the state store: %w", err)
	}
	err = failpoint.Around("state.reserve", func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, info.Size()+roomForData)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep room for the state store: %w", err)
	}
	return nil
}
