package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"lain.internal/lain/failpoint"
)

const (
	maxAudit  = 32 << 20 // bytes, then the file is set aside
	keptAudit = 4        // files set aside
)

// rotate sets the audit file aside when it is large, and has Vault open a new one. A file that is missing was
// set aside by a server that died before it could say so.
func (i *instance) rotate(limit int64) error {
	moved, err := setAside(i.auditLog(), limit, keptAudit)
	if err != nil {
		return fmt.Errorf("set the audit file aside: %w", err)
	}
	if _, err := os.Stat(i.auditLog()); moved || errors.Is(err, fs.ErrNotExist) {
		return i.reopenAudit()
	}
	return nil
}

// reopenAudit may only be asked of a process that has answered before: an earlier SIGHUP would end it.
func (i *instance) reopenAudit() error {
	if !i.alive() {
		return nil
	}
	return failpoint.Around("vault.local.reopen", func() error { return ended(i.child.Signal(syscall.SIGHUP)) })
}

// setAside renames a file that has reached limit bytes to path.1, path.1 to path.2, and so on up to keep. Each
// step is atomic; one that was cut short leaves a gap in the numbers and no loss.
func setAside(path string, limit int64, keep int) (moved bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < limit {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for n := keep; n > 0; n-- {
		from := path
		if n > 1 {
			from = fmt.Sprintf("%s.%d", path, n-1)
		}
		err := failpoint.Around("vault.local.rotate", func() error { return os.Rename(from, fmt.Sprintf("%s.%d", path, n)) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}
