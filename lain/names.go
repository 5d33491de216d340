package lain

import (
	"fmt"
	"regexp"
	"slices"
)

// AppName names an application, its repository and its place in every store:
// a lower-case letter, then at most 38 of a-z, 0-9 and "-", not "-" at the end (it is a host label, RFC 1123).
type AppName string

// ProcName names a process of an application, unique within it. Same alphabet as AppName.
type ProcName string

// Cluster is the id under which several control planes may share one engine: a lower-case letter,
// then at most 15 of a-z and 0-9.
type Cluster string

// Person is a name that keys are registered under. Same alphabet as AppName, with "." allowed.
type Person string

var (
	appNamePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,37}[a-z0-9])?$`)
	clusterPattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	personPattern  = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,38}$`)
	commitPattern  = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

	// reserved are the names LAIN kept for itself (lain-sdk parser), and ours.
	reserved = []AppName{"service", "resource", "portal", "lain"}
)

// ParseAppName returns s as a name, or says in one sentence why it is none.
func ParseAppName(s string) (AppName, error) {
	if !appNamePattern.MatchString(s) {
		return "", fmt.Errorf("%q is not an application name: use a lower-case letter, then at most 38 of a-z, 0-9 and -, not - at the end", clip(s))
	}
	if slices.Contains(reserved, AppName(s)) {
		return "", fmt.Errorf("the name %q is reserved: choose another one", s)
	}
	return AppName(s), nil
}

// ParseProcName returns s as a name, or says in one sentence why it is none.
func ParseProcName(s string) (ProcName, error) {
	if !appNamePattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a proc name: use a lower-case letter, then at most 38 of a-z, 0-9 and -, not - at the end", clip(s))
	}
	return ProcName(s), nil
}

// ParseCluster returns s as a cluster id, or says why it is none.
func ParseCluster(s string) (Cluster, error) {
	if !clusterPattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a cluster id: use a lower-case letter, then at most 15 of a-z and 0-9", clip(s))
	}
	return Cluster(s), nil
}

// ParsePerson returns s as a person's name, or says why it is none.
func ParsePerson(s string) (Person, error) {
	if !personPattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a person's name: use a lower-case letter, then at most 38 of a-z, 0-9, . and -", clip(s))
	}
	return Person(s), nil
}

// Commit is a git object name, SHA-1 or SHA-256, in lower-case hex.
type Commit string

// ParseCommit accepts a full object name only.
func ParseCommit(s string) (Commit, error) {
	if !commitPattern.MatchString(s) {
		return "", fmt.Errorf("%q is not a full commit id", clip(s))
	}
	return Commit(s), nil
}

// Short is the first seven digits, as git shows them.
func (c Commit) Short() string {
	if len(c) < 7 {
		return string(c)
	}
	return string(c[:7])
}

// IsZero reports git's "no object" (all zeros) and the empty string.
func (c Commit) IsZero() bool {
	for i := range len(c) {
		if c[i] != '0' {
			return false
		}
	}
	return true
}

// clip keeps a hostile name from filling a sentence.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
