// Package lain holds the nouns of the system as plain values: applications, procs, releases, runs.
//
// Every room talks in these types, so that an application's name cannot be handed over where a proc's
// is wanted. Nothing here does I/O or reads a clock. A type that only one room uses lives in that room.
//
// Records are the values the rooms leave for one another in the state store; their keys are named in
// records.go.
package lain
