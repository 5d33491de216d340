// Package repo keeps the bare repositories, one per application, and speaks to them through the real git.
//
// Git runs as an unprivileged user of its own, which owns the repositories and nothing else, with an
// environment made from nothing, in a process group of its own, under limits of CPU time and file size,
// and dies with the process that started it. What git is told is argv, never a shell; names that come
// from outside are checked, and stand behind "--end-of-options" or "--" where git could take them for
// something else.
//
// The settings that matter are in one file that all repositories include, so that a newer Lain changes
// them for all. The shape of the store is ROOT/APP.git; a repository is made beside its place and renamed.
//
// Nothing here knows who may do what, or what a push means.
package repo
