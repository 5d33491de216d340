// Package receive decides what becomes of every ref of a push.
//
// The deploy branch becomes a run, whose log the pusher follows and whose outcome is the answer. Every other
// ref is answered for itself: tags are kept once there is an application, other branches are refused with the
// command that would deploy them. A push that is refused before there is a run leaves nothing behind, not even
// the repository that was made to receive it.
//
// The thinking is in sort.go and is pure; the door to git is package gitserver, which knows the protocol.
package receive
