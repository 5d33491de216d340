// Package archive writes everything of a control plane into one encrypted file, and puts it back.
//
// The records come first, as they were at one revision of the store, then the folders that they speak of.
// What a record names is there before the record is, and nothing is removed while a Gate is held, so whatever
// the records name is in the archive, whatever else goes on meanwhile. Below a folder the order is the same:
// what points comes before what is pointed at. A run that was under way is in the archive as a kill would have
// left it, and is treated so at the next start.
//
// A restore reads the archive to its last byte into a folder of its own beside the data folder; only when all of
// it is as it was written the two change places, in one step. Until then, and after any failure, nothing has
// changed.
//
// The form is archive/format's; the encryption is age's. Archive knows no other room: what has to be held still
// while it is copied comes as a Part with a function that does so.
package archive
