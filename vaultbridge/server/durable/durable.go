// Package durable is Vault's file storage, made safe against a loss of power and a kill at any instant.
//
// The files are those of Vault's own file backend, which reads, lists and removes them: a folder that was
// written here can be served by any Vault with storage "file". Only writing is different. Vault's backend acknowledges
// what the kernel has not written yet, and leaves halves under names that its listing then shows. Here a value is
// written in another folder, synced, moved into place, and the folders are synced, before Put returns.
package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
)

// Backend stores below one folder. It is safe for use by many goroutines, of one process.
type Backend struct {
	*file.FileBackend // its lock is ours, too
	dir, temp         string
}

// Open uses dir for what is stored and temp for what is being written, and empties temp. Both are made; they
// have to be on one file system.
func Open(dir, temp string, log hclog.Logger) (*Backend, error) {
	if err := os.RemoveAll(temp); err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.MkdirAll(temp, 0o700)); err != nil {
		return nil, err
	}
	inner, err := file.NewFileBackend(map[string]string{"path": dir}, log)
	if err != nil {
		return nil, err
	}
	return &Backend{FileBackend: inner.(*file.FileBackend), dir: filepath.Clean(dir), temp: temp}, nil
}

// Put stores an entry and returns when it is on disk.
func (b *Backend) Put(ctx context.Context, entry *physical.Entry) error {
	if strings.Contains(entry.Key, "..") {
		return fmt.Errorf("key %q leads out of the storage", entry.Key)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.Lock()
	defer b.Unlock()
	temp, err := b.write(entry.Value)
	if err != nil {
		return err
	}
	known := b.existing(entry.Key)
	if err := b.move(temp, entry.Key); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return b.syncUp(entry.Key, known)
}

// write puts a value, in the form that file.FileBackend reads, into a file of its own, and syncs it.
func (b *Backend) write(value []byte) (string, error) {
	f, err := os.CreateTemp(b.temp, "put")
	if err != nil {
		return "", err
	}
	err = json.NewEncoder(f).Encode(struct{ Value []byte }{value})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// move gives the file the name that file.FileBackend has for key.
func (b *Backend) move(temp, key string) error {
	path := filepath.Join(b.dir, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(filepath.Dir(path), "_"+filepath.Base(path)))
}

// Delete removes an entry, and the folders that became empty, and returns when that is on disk.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := b.FileBackend.Delete(ctx, key); err != nil || key == "" {
		return err
	}
	b.RLock()
	defer b.RUnlock()
	return syncDir(b.existing(key))
}

// existing is the folder of key, or the first above it that is there.
func (b *Backend) existing(key string) string {
	dir := filepath.Dir(filepath.Join(b.dir, key))
	for dir != b.dir {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// syncUp syncs the folder of key and, where those are new, all up to the one that was there before.
func (b *Backend) syncUp(key, known string) error {
	for dir := filepath.Dir(filepath.Join(b.dir, key)); ; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil || dir == known {
			return err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
