// Package access knows the people: who they are, which SSH keys are theirs, and what they may do.
//
// A person is a record, and so is each key, filed under its SHA-256 fingerprint: a key belongs to one
// person, and looking one up is one read. The first person is the owner of the keys with which the server
// was set up. The last key of the last admin cannot be removed, not even by two people at once.
//
// Who may do what is one table (Can). As yet every person is an admin of everything: the table has one
// row, and each use of the system already asks it.
//
// Whether a key was proved to be somebody's is the SSH server's business, not known here.
package access
