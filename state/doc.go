// Package state keeps the records through which the rooms meet: typed JSON values in etcd, below
// /lain/<cluster>/.
//
// A record lies in an envelope that names its schema, so that a later version can migrate an older one
// and refuses one from the future. Kind gives typed reads, compare-and-swap writes and parts of
// transactions; Follow and Signal tell of changes without a gap, whatever happens to the connection or
// to etcd's history. On one machine etcd runs inside the process (its only door a unix socket of mode
// 0600, no peer listener at all); with several, Options.Endpoints names an outside one.
//
// State knows no record's meaning, keeps no secret, and holds nothing large: a record is at most 1 MiB,
// and what is bigger (logs, packs, images) is a file.
package state
