package lain

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SecretScope says whose a secret file is: that of one proc, by its name, or EveryProc's.
type SecretScope string

// EveryProc is the scope of a file for all procs that declare its path. No proc can have this name.
const EveryProc SecretScope = "_"

// ScopeOf is the scope of a proc; that of "" is EveryProc.
func ScopeOf(proc ProcName) SecretScope {
	if proc == "" {
		return EveryProc
	}
	return SecretScope(proc)
}

// Proc is the proc of a scope, "" for EveryProc.
func (s SecretScope) Proc() ProcName {
	if s == EveryProc {
		return ""
	}
	return ProcName(s)
}

// SecretPath is where a secret file lies in the container: absolute, clean, at most MaxSecretPath bytes.
type SecretPath string

// MaxSecretPath is the longest SecretPath, in bytes.
const MaxSecretPath = 500

// HelperPath is where a container finds Lain's helper.
const HelperPath = "/lain/helper"

// ConfigPath is where a container finds its config values; the helper reads them from there.
const ConfigPath SecretPath = "/lain/config"

// BuildSecretPath is the secret file that a build secret of that name is kept in, for every proc.
func BuildSecretPath(name string) SecretPath { return SecretPath("/run/secrets/" + name) }

// appFolder is what relative paths are below (LAIN 1.5).
const appFolder = "/lain/app"

// closedFolders hold nothing of an application's.
var closedFolders = []string{"/proc", "/sys", "/dev", "/lain/helper", string(ConfigPath)}

// ParseSecretPath returns the place that s means, as LAIN did: relative paths are below /lain/app, ".." is
// resolved and never leads above "/". Or it says in one sentence why s names no file.
func ParseSecretPath(s string) (SecretPath, error) {
	if strings.ContainsFunc(s, invisible) || !utf8.ValidString(s) {
		return "", fmt.Errorf("%q is not a path: it holds characters that cannot be seen, or is not UTF-8", clip(s))
	}
	if s == "" || strings.HasSuffix(s, "/") {
		return "", fmt.Errorf("%q names no file: a secret is a file, and its path does not end in /", clip(s))
	}
	full := path.Clean(s)
	if !path.IsAbs(s) {
		full = path.Join(appFolder, s)
	}
	return SecretPath(full), SecretPath(full).Validate()
}

// invisible characters cannot be told apart by who reads a path, and Vault refuses them.
func invisible(r rune) bool { return !unicode.IsPrint(r) }

// Validate refuses what ParseSecretPath never returns.
func (p SecretPath) Validate() error {
	s := string(p)
	switch {
	case !path.IsAbs(s) || path.Clean(s) != s || strings.ContainsFunc(s, invisible) || !utf8.ValidString(s):
		return fmt.Errorf("%q is not an absolute path of a file", clip(s))
	case len(s) > MaxSecretPath:
		return fmt.Errorf("the path %q is longer than %d bytes", clip(s), MaxSecretPath)
	case s == "/" || s == "/lain" || s == appFolder:
		return fmt.Errorf("%q is a folder: a secret is a file", s)
	}
	for _, closed := range closedFolders {
		if s == closed || strings.HasPrefix(s, closed+"/") {
			return fmt.Errorf("%q cannot be a secret file: %s is not an application's", clip(s), closed)
		}
	}
	return nil
}

// SecretMount is one secret file of a proc, pinned to a version. It holds no value.
type SecretMount struct {
	Secret  string      `json:"secret"` // what the engine calls it; its id is looked up by name at rollout
	Path    SecretPath  `json:"path"`
	Scope   SecretScope `json:"scope"`   // where the file came from: the proc's own, or every proc's
	Version int         `json:"version"` // in the vault, from 1
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Mode    uint32      `json:"mode"` // permission bits only
}

// ConfigMount is a version of an application's config values, which the helper reads at ConfigPath.
type ConfigMount struct {
	Secret  string `json:"secret"` // what the engine calls it
	Version int    `json:"version"`
}
