// Package enter runs a command in a container for a person, beside what runs there: with a terminal where the person
// has one, until the command ends or the person is gone.
//
// What the person types comes on standard input in frames (Writer), so that one stream says everything: bytes, a new
// size of the terminal, the end of the input. The end of the stream itself is the person's end: then the command is
// told to hang up, and whatever is left of it a moment later is killed. An engine's own exec knows nothing of that: a
// command whose client is gone goes on for as long as its container.
//
// The terminal is made inside the container, so that its size, Ctrl-C and job control need no way of their own.
package enter
