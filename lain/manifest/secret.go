package manifest

import (
	"path"
	"slices"
	"strings"
)

// SecretFile is a file that the vault holds and a container of the proc sees.
type SecretFile struct {
	Path string // absolute and clean; at most 512 bytes
	Line int
}

const (
	maxSecretFiles = 100 // of a proc
	maxSecretPath  = 512 // bytes
	maxFileName    = 255 // bytes, the kernel's NAME_MAX
)

// appRoot is where relative paths of lain.yaml begin (LAIN 1.6).
const appRoot = "/lain/app"

// secretFiles reads the paths of a proc, in the order written, each once.
func (r *reader) secretFiles(v *node, what string) []SecretFile {
	var files []SecretFile
	for _, item := range r.texts(v, what) {
		p := path.Join(appRoot, item.text)
		if path.IsAbs(item.text) {
			p = path.Clean(item.text)
		}
		switch bad := badSecretPath(p); {
		case strings.TrimSpace(item.text) == "":
			r.fail(item, "Try: - conf/secret.json", "an item of %s is empty", what)
			continue
		case bad != "":
			r.fail(item, "Try: - conf/secret.json", "%s: %s %s", what, show(p), bad)
			continue
		case strings.HasSuffix(item.text, "/"):
			r.warn(item, "%s names files: %s is used without the slash at its end", what, show(p))
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
			r.warn(at, "%s names %s twice", what, show(f.Path))
			return files
		case inside(f.Path, other.Path) || inside(other.Path, f.Path):
			r.fail(at, "", "%s: of %s and %s one would have to be a directory", what, show(other.Path), show(f.Path))
			return files
		}
	}
	if len(files) == maxSecretFiles {
		r.fail(at, "Put several values into one file.", "%s has more than %d files", what, maxSecretFiles)
		return files
	}
	return append(files, f)
}

// inside says whether a clean absolute path lies below another.
func inside(p, dir string) bool {
	return strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") && p != dir
}

// notForSecrets are the kernel's directories and our own file; what lies below them is theirs too.
var notForSecrets = []string{"/proc", "/sys", "/dev", "/lain/helper"}

// badSecretPath says why no file can be put at a clean absolute path; "" when one can.
func badSecretPath(p string) string {
	switch {
	case p == "/" || p == "/lain" || p == appRoot:
		return "is a directory"
	case slices.ContainsFunc(notForSecrets, func(dir string) bool { return p == dir || inside(p, dir) }):
		return "is no place for a file of yours"
	case len(p) > maxSecretPath:
		return "is too long"
	case slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool { return len(name) > maxFileName }):
		return "holds a name that is too long"
	}
	return ""
}
