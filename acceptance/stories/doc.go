// Package stories proves the promises of docs/design.md against real engines, real git and real ssh.
//
// Each story is one test, and reads as what a person does and sees. They run with "-tags acceptance" and
// need LAIN_BIN (see make test). Most share one town; a story that harms the server opens its own.
package stories
