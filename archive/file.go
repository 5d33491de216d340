package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// Save writes a file of mode 0600 by way of path.tmp: a path that is there is whole and on disk. When write fails
// nothing is left, and what was at path stays. A path.tmp of an earlier, killed one is overwritten.
func Save(path string, write func(io.Writer) error) error {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Hide(fault.Invalid, err, "the backup cannot be written to %s", temp)
	}
	err = errors.Join(f.Chmod(0o600), write(f))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = failpoint.Around("archive.save", func() error { return os.Rename(temp, path) })
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
