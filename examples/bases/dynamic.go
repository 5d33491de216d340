package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// pythonProgram and nodeProgram are the distribution's.
const (
	pythonProgram = "/usr/bin/python3"
	nodeProgram   = "/usr/bin/node"
)

// python is the interpreter with its standard library; it has no pip.
func python(o options, box string) (base, error) {
	version, err := output(pythonProgram, "-c", "import sys; print(sys.version)")
	if err != nil {
		return base{}, fmt.Errorf("%w (the package python3 has it)", err)
	}
	library, err := output(pythonProgram, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))")
	if err != nil {
		return base{}, err
	}
	return dynamic(o, box, base{name: "python", tag: "lain/python:3", parts: []string{version, library}}, pythonProgram, library)
}

// node is the interpreter; it has no npm. Debian keeps modules of its own apart from the program.
func node(o options, box string) (base, error) {
	version, err := output(nodeProgram, "--version")
	if err != nil {
		return base{}, fmt.Errorf("%w (the package nodejs has it)", err)
	}
	b := base{name: "node", tag: "lain/node:lts", parts: []string{version}}
	var trees []string
	if _, err := os.Stat("/usr/share/nodejs"); err == nil {
		trees = append(trees, "/usr/share/nodejs")
	}
	return dynamic(o, box, b, nodeProgram, trees...)
}

// dynamic completes a base of a program that is linked against libraries of this machine, and folders of files. The
// program is under its path and has a link in /usr/local/bin.
func dynamic(o options, box string, b base, program string, trees ...string) (base, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return base{}, err
	}
	sum, err := fileSum(real)
	if err != nil {
		return base{}, err
	}
	needed, treeSum, err := weigh(real, trees)
	if err != nil {
		return base{}, err
	}
	b.parts = append(b.parts, box, certSum(), runtime.GOARCH, sum, treeSum)
	b.env = []string{"PATH=/usr/local/bin:/bin"}
	b.make = func(ctx context.Context, root string) error {
		if err := furnish(ctx, root, o.busybox); err != nil {
			return err
		}
		if err := copyTrees(root, trees); err != nil {
			return err
		}
		err := errors.Join(copyFile(real, filepath.Join(root, program), 0o755), os.Symlink(program, filepath.Join(root, "usr/local/bin", filepath.Base(program))))
		return errors.Join(err, copyLibraries(root, needed))
	}
	return b, nil
}

// unneeded says of a folder of a standard library that no application runs what is in it.
func unneeded(name string) bool {
	return strings.HasPrefix(name, "config-") || slices.Contains([]string{"__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip"}, name)
}

// eachFile calls fn for the files and links of a folder that images get.
func eachFile(tree string, fn func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && unneeded(d.Name()):
			return filepath.SkipDir
		}
		return fn(path, d)
	})
}

// weigh finds the libraries that a program and the shared libraries in folders need, and gives one sum of these and of all
// files in the folders: a patched library makes another image.
func weigh(program string, trees []string) (libraries []string, sum string, err error) {
	loaders, files := []string{program}, []string{}
	for _, tree := range trees {
		err := eachFile(tree, func(path string, d fs.DirEntry) error {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				return nil // links to nothing and to folders are left out of the image, too
			}
			if strings.HasSuffix(path, ".so") && d.Type().IsRegular() {
				loaders = append(loaders, path)
			}
			files = append(files, path)
			return nil
		})
		if err != nil {
			return nil, "", fmt.Errorf("read %s: %w", tree, err)
		}
	}
	if libraries, err = loadedBy(loaders); err != nil {
		return nil, "", err
	}
	h := sha256.New()
	for _, path := range append(files, libraries...) {
		one, err := fileSum(path)
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintf(h, "%s %s\n", path, one)
	}
	return libraries, hex.EncodeToString(h.Sum(nil)), nil
}

// copyTrees copies folders to where they are on this machine.
func copyTrees(root string, trees []string) error {
	for _, tree := range trees {
		err := eachFile(tree, func(path string, d fs.DirEntry) error {
			if d.Type()&fs.ModeSymlink != 0 {
				return copyLinked(path, filepath.Join(root, path))
			}
			return copyEntry(path, filepath.Join(root, path), d)
		})
		if err != nil {
			return fmt.Errorf("copy %s: %w", tree, err)
		}
	}
	return nil
}

// copyLinked copies the file that a link leads to, in the link's place. Links to folders and to nothing are left out.
func copyLinked(from, to string) error {
	info, err := os.Stat(from)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return copyFile(from, to, info.Mode().Perm())
}

// loadedBy lists what the dynamic loader would load for programs and libraries, and the loader.
func loadedBy(files []string) ([]string, error) {
	out, err := exec.Command("ldd", files...).Output()
	if err != nil {
		return nil, fmt.Errorf("ask ldd for libraries: %w", err)
	}
	return loaded(string(out))
}

// loaded reads the paths out of what ldd prints (ldd(1)): "name => /path (address)", "/path (address)" for the loader, and
// "name => not found", which is an error.
func loaded(ldd string) (paths []string, err error) {
	for line := range strings.Lines(ldd) {
		if name, found := strings.CutSuffix(strings.TrimSpace(line), " => not found"); found {
			return nil, fmt.Errorf("the library %s is not on this machine", name)
		}
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") && !slices.Contains(paths, word) {
				paths = append(paths, word)
			}
		}
	}
	return paths, nil
}

func copyLibraries(root string, paths []string) error {
	for _, path := range paths {
		to := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(path, to, 0o755); err != nil {
			return err
		}
	}
	return nil
}
