package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"slices"

	"lain.internal/lain/builder/llb"
)

// readInputs hashes the files that a prepare image depends on, by path; directories with all below them, and
// globs. What is not there is left out, and links are taken as links.
func readInputs(dir string, patterns []string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if len(patterns) == 0 {
		patterns = llb.DefaultInputs
	}
	inputs := map[string]string{}
	for _, pattern := range patterns {
		if err := readInput(root.FS(), pattern, inputs); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

func readInput(files fs.FS, pattern string, inputs map[string]string) error {
	names, err := fs.Glob(files, pattern)
	if err != nil || !slices.Contains(names, pattern) {
		names = append(names, pattern) // a name that happens to hold a bracket
	}
	for _, name := range names {
		if err := hashBelow(files, name, inputs); err != nil {
			return err
		}
	}
	return nil
}

// hashBelow takes a file or link as it is and a directory with its files. fs.WalkDir alone would follow a
// link that it begins at.
func hashBelow(files fs.FS, name string, inputs map[string]string) error {
	info, err := fs.Lstat(files, name)
	if err != nil { // not there, or not reached without leaving the directory
		return nil
	}
	if !info.IsDir() {
		inputs[name], err = hashFile(files, name, info.Mode().Type())
		return err
	}
	return fs.WalkDir(files, name, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inputs[p], err = hashFile(files, p, d.Type())
		return err
	})
}

func hashFile(files fs.FS, name string, kind fs.FileMode) (string, error) {
	if kind == fs.ModeSymlink {
		target, err := fs.ReadLink(files, name)
		return "link to " + target, err
	}
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
