package main

import (
	"context"
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
	b.parts = append(b.parts, box, certSum(), runtime.GOARCH, sum)
	b.env = []string{"PATH=/usr/local/bin:/bin"}
	b.make = func(ctx context.Context, root string) error {
		if err := furnish(ctx, root, o.busybox); err != nil {
			return err
		}
		programs, err := copyTrees(root, trees)
		if err != nil {
			return err
		}
		err = errors.Join(copyFile(real, filepath.Join(root, program), 0o755), os.Symlink(program, filepath.Join(root, "usr/local/bin", filepath.Base(program))))
		return errors.Join(err, copyLibraries(ctx, root, append(programs, real)))
	}
	return b, nil
}

// unneeded says of a folder of a standard library that no application runs what is in it.
func unneeded(name string) bool {
	return strings.HasPrefix(name, "config-") || slices.Contains([]string{"__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip"}, name)
}

// copyTrees copies folders to where they are on this machine and returns the shared libraries in them.
func copyTrees(root string, trees []string) (libraries []string, err error) {
	for _, tree := range trees {
		err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && unneeded(d.Name()):
				return filepath.SkipDir
			case d.Type()&fs.ModeSymlink != 0:
				return copyLinked(path, filepath.Join(root, path))
			case strings.HasSuffix(path, ".so"):
				libraries = append(libraries, path)
			}
			return copyEntry(path, filepath.Join(root, path), d)
		})
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", tree, err)
		}
	}
	return libraries, nil
}

// copyLinked copies the file that a link leads to, in the link's place. Links to folders and to nothing are left out.
func copyLinked(from, to string) error {
	info, err := os.Stat(from)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return copyFile(from, to, info.Mode().Perm())
}

// copyLibraries copies what the dynamic loader would load for programs and libraries, and the loader.
func copyLibraries(ctx context.Context, root string, of []string) error {
	out, err := exec.CommandContext(ctx, "ldd", of...).Output()
	if err != nil {
		return fmt.Errorf("ask ldd for libraries: %w", err)
	}
	for _, path := range loaded(string(out)) {
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

// loaded reads the paths out of what ldd prints (ldd(1)): "name => /path (address)", or "/path (address)" for the loader.
func loaded(ldd string) (paths []string) {
	for line := range strings.Lines(ldd) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") && !slices.Contains(paths, word) {
				paths = append(paths, word)
			}
		}
	}
	return paths
}
