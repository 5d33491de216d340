// Package api holds the verbs that people give over SSH, each once.
//
// A verb is a row of a table: name, arguments, summary, example, flags and a function. From the table come the
// parser, the help texts and the list of names. Every verb takes --json and answers either with a table for
// people or with one JSON value; its exit code tells what kind of failure it was (see package fault).
//
// A verb reads records and asks the rooms it is given; it holds no state of its own and decides nothing that
// the pipeline decides.
package api
