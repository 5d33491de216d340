package certs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lain.internal/lain/lain/fault"
)

const (
	maxFile  = 256 << 10 // bytes of one half of a pair
	maxPairs = 5000
)

// stamp changes when a file of a pair in the folder changes: it holds names, sizes, times and places on the disk.
// Nothing is opened for it.
func stamp(dir string) (string, error) {
	files, err := halves(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, file := range files {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			fmt.Fprintf(&b, "%q gone\n", file)
			continue
		}
		inode := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = st.Ino
		}
		fmt.Fprintf(&b, "%q %d %d %d %o\n", file, info.Size(), info.ModTime().UnixNano(), inode, info.Mode())
	}
	return b.String(), nil
}

// halves are the files that belong to pairs, sorted. Hidden ones are somebody's temporary files.
func halves(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Hide(fault.Unavailable, err, "the folder of certificates %s cannot be read: %v", dir, errors.Unwrap(err))
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".crt" || ext == ".key") && e.Name()[0] != '.' {
			files = append(files, e.Name())
		}
	}
	if len(files) > 2*maxPairs {
		return nil, fault.New(fault.Invalid, "the folder of certificates %s has more than %d pairs", dir, maxPairs)
	}
	return files, nil
}

// found is what the folder has under one name.
type found struct {
	pair   Pair   // zero when there is trouble
	broken string // why it cannot be used; "": it can, when its time is right
}

// read reads all pairs of the folder, by name. A broken one is in the answer with its reason.
func read(dir string) (map[string]found, error) {
	files, err := halves(dir)
	if err != nil {
		return nil, err
	}
	all := map[string]found{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(file, ".crt"), ".key")
		if _, done := all[name]; done {
			continue
		}
		pair, err := readPair(dir, name)
		if err != nil {
			all[name] = found{broken: sentence(err)}
			continue
		}
		all[name] = found{pair: pair}
	}
	return all, nil
}

func readPair(dir, name string) (Pair, error) {
	crt, err := readHalf(filepath.Join(dir, name+".crt"), false)
	if err != nil {
		return Pair{}, err
	}
	key, err := readHalf(filepath.Join(dir, name+".key"), true)
	if err != nil {
		return Pair{}, err
	}
	return Parse(name, crt, key)
}

// readHalf reads one regular file; one that is secret must be closed to others. It does not wait for a pipe.
func readHalf(path string, secret bool) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s is missing: a certificate needs its .crt and its .key", path)
	}
	if err != nil {
		return nil, fault.Hide(fault.Unavailable, err, "%s cannot be read: %v", path, errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fault.Hide(fault.Unavailable, err, "%s cannot be read", path)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, fault.New(fault.Invalid, "%s is not a file of at most %d KiB", path, maxFile>>10)
	case secret && info.Mode().Perm()&0o027 != 0:
		return nil, fault.New(fault.Invalid, "the key %s is open to others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fault.Hide(fault.Unavailable, err, "%s cannot be read", path)
	}
	return data, nil
}

// sentence is what a person reads of an error.
func sentence(err error) string {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f.Error()
	}
	return err.Error()
}

func sortedNames[K cmp.Ordered, V any](m map[K]V) []K {
	names := make([]K, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
