// Package atomicfile replaces a file whole: a reader, or a machine that lost power, finds the old
// content or the new one, never a part.
//
// It does not lock: of two writers at once, one wins.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write puts data at path with exactly the mode perm (the umask does not count) and returns once it is
// on disk. The folder must exist. A link at path is replaced, not followed. On an error the old file is
// as it was, unless only the last step failed, the sync of the folder: then the new one is there, but
// may not survive a loss of power.
func Write(path string, data []byte, perm os.FileMode) error {
	temp, err := beside(path, data, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Ensure is Write for a file that mostly is as it should be: one with this content and mode is left alone, which
// needs no room on the disk.
func Ensure(path string, data []byte, perm os.FileMode) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode() == perm && info.Size() == int64(len(data)) {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
			return nil
		}
	}
	return Write(path, data, perm)
}

// beside writes a hidden file in the same folder, hence file system, and returns its name.
func beside(path string, data []byte, perm os.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return "", err
	}
	if err := errors.Join(fill(f, data, perm), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func fill(f *os.File, data []byte, perm os.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
