// Package hook joins the hook that git runs to the process that decides about pushes.
//
// Git calls proc-receive (githooks(5)) once all objects of a push are in the repository, names the refs
// that are to change, and lets the hook answer for each of them. The program it finds in core.hooksPath
// is lain-hook, always the same file: it connects to a unix socket, shows the token of its push, and from
// then on copies frames between git and the socket. Nothing is generated from names, and no name is ever
// parsed by the hook. The socket belongs to git's user alone, the other side's user is asked of the
// kernel, and the token (256 random bits, good for one connection) says which push is meant.
//
// The decision is a function (Decide) with a context, which ends when the client, git, or the hook goes
// away; what it does then is its own business.
//
// The hook is a binary of its own, and not a verb of laind, because git starts it anew for each push.
// Measured on a busy machine with two cores, median of 30 starts: lain-hook (4 MB) starts and ends in 3
// ms; a program that only links what laind links (etcd, Docker, BuildKit, registry: 38 MB) takes 25 ms
// to do nothing. It also keeps the code that runs as git's user small enough to read.
package hook
