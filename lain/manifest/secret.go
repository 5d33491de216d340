package manifest

import (
	"slices"
	"strings"

	"lain.internal/lain/lain"
)

// SecretFile is a file that the vault holds and a container of the proc sees.
type SecretFile struct {
	Path lain.SecretPath
	Line int
}

const (
	maxSecretFiles = 100 // of a proc
	maxFileName    = 255 // bytes, the kernel's NAME_MAX
)

// appRoot is where relative paths of lain.yaml begin (LAIN 1.6).
const appRoot = "/lain/app"

// secretFiles reads the paths of a proc, in the order written, each once.
func (r *reader) secretFiles(v *node, what string) []SecretFile {
	var files []SecretFile
	for _, item := range r.texts(v, what) {
		written := strings.TrimRight(item.text, "/") // which LAIN kept; no file can have it
		p, err := lain.ParseSecretPath(written)
		switch {
		case err != nil:
			r.fail(item, "Try: - conf/secret.json", "%s: %s", what, err)
			continue
		case slices.ContainsFunc(strings.Split(string(p), "/"), func(name string) bool { return len(name) > maxFileName }):
			r.fail(item, "Try: - conf/secret.json", "%s: %s holds a name that is too long", what, show(string(p)))
			continue
		case written != item.text:
			r.warn(item, "%s names files: %s is used without the slash at its end", what, show(string(p)))
		}
		files = r.addSecret(files, SecretFile{Path: p, Line: item.line}, item, what)
	}
	return files
}

// addSecret adds a file unless it is there already, or cannot be there beside another.
func (r *reader) addSecret(files []SecretFile, f SecretFile, at *node, what string) []SecretFile {
	for _, other := range files {
		switch {
		case other.Path == f.Path:
			r.warn(at, "%s names %s twice", what, show(string(f.Path)))
			return files
		case inside(f.Path, other.Path) || inside(other.Path, f.Path):
			r.fail(at, "", "%s: of %s and %s one would have to be a directory", what, show(string(other.Path)), show(string(f.Path)))
			return files
		}
	}
	if len(files) == maxSecretFiles {
		r.fail(at, "Put several values into one file.", "%s has more than %d files", what, maxSecretFiles)
		return files
	}
	return append(files, f)
}

// inside says whether a path lies below another.
func inside(p, dir lain.SecretPath) bool { return strings.HasPrefix(string(p), string(dir)+"/") }
