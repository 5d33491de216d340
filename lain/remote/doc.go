// Package remote finds, among the remotes of a git repository, the one that leads to a Lain.
//
// A remote is a Lain's when it is a URL of ssh whose path is one application's name: lain:hello, or
// ssh://lain@host:2222/hello. Nobody is asked and no file is read: the package gets git's list and what a person
// said, and answers with a host and an application. URLs come with repositories, so they are foreign: what is not
// exactly of the expected form is no remote of ours, and a host is never one that ssh could take for an option.
package remote
