// Package manifest reads lain.yaml: the file in an application's tree that says how it is built, which
// procs run, and where they answer.
//
// lain.yaml is other people's and has a history, so what LAIN's own parser took is taken: YAML 1.1 scalars
// (yes, 0400, 12:30), the last of two equal keys, keys in forms that were never documented. What LAIN let
// pass in silence is said instead: a key that nobody knows is a warning with its line and the key that was
// meant, a key that is not served yet is named. What cannot work is an error that shows the line.
//
// The way is bytes → tree (bounded: size, depth, aliases) → Manifest and Findings. One table, keys.go, says
// which keys there are, where they belong and whether they are served.
//
// The package is pure: no file is opened, no image looked up, no environment read. Defaults that depend on a
// cluster (the memory limit, the domains) are filled in by others.
package manifest
