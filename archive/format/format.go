// Package format is the form of a backup of a control plane, in the clear: what lies inside the encryption.
//
// It is a tar archive, so that a person in need can look into a decrypted one with the tools at hand. First
// comes the manifest, then pages of records and files in any order, last the seal: how many entries there were,
// and a checksum over all of them with their names, owners and modes. One checksum and not a list of them, since
// a list would have to be held in memory until the end. Nothing is compressed: git's packs and the layers of
// images are already, and an archive that does not grow when it is read is no bomb.
//
// What comes from an archive is hostile, even from one that decrypts: whoever knows the recipient can make one.
// The reader knows regular files and folders, with clean relative names, and nothing else. It opens no file and
// speaks to nobody.
package format

import (
	"archive/tar"
	"fmt"
	"hash"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"lain.internal/lain/lain"
)

// Version is the form that is written, and the newest that is read.
const Version = 1

// The names inside the archive.
const (
	manifestName  = "manifest.json"
	sealName      = "seal.json"
	recordsPrefix = "records/"
	dataPrefix    = "data/"
	settingsName  = "settings/laind.yaml"
)

// Limits of what is read. Files may have any size.
const (
	maxName   = 4096
	maxJSON   = 64 << 10 // manifest and seal
	maxRecord = 2 << 20  // one line of a page: a record of 1 MiB, in base64, with its key
	maxMode   = fs.FileMode(0o777)
)

// Manifest is the first thing in an archive.
type Manifest struct {
	Format   int          `json:"format"`
	Lain     string       `json:"lain"` // version of laind
	Cluster  lain.Cluster `json:"cluster"`
	Time     time.Time    `json:"time"`
	Revision int64        `json:"revision"` // of the store: all records are as they were at it
}

// Seal is the last thing in an archive. One without it was cut.
type Seal struct {
	Entries int    `json:"entries"` // all before it, the manifest too
	Bytes   int64  `json:"bytes"`   // of their content
	SHA256  string `json:"sha256"`  // over each entry's head and content, in order
}

// Kind says what an entry is.
type Kind string

// The kinds of entries between manifest and seal.
const (
	Records  Kind = "records"  // a page of records, see ReadRecords
	Folder   Kind = "folder"   // of the data folder
	File     Kind = "file"     // of the data folder
	Settings Kind = "settings" // laind.yaml
)

// Head describes an entry.
type Head struct {
	Kind     Kind
	Path     string      // of Folder and File: below the data folder, clean, with slashes, never leading out of it
	Mode     fs.FileMode // permission bits only
	UID, GID int
	Size     int64 // of content, in bytes
	Time     time.Time
}

// name is where the entry lies in the tar.
func (h Head) name() string {
	switch h.Kind {
	case Folder:
		return dataPrefix + h.Path + "/"
	case File:
		return dataPrefix + h.Path
	}
	return settingsName
}

// checkPath refuses what is not a clean path below a folder. It is stricter than fs.ValidPath: nothing is
// invisible, and nothing names the folder itself.
func checkPath(p string) error {
	switch {
	case p == "" || p == "." || len(p) > maxName || !utf8.ValidString(p) || !fs.ValidPath(p) || path.Clean(p) != p:
		return fmt.Errorf("%.100q is no clean path", p)
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("%.100q holds characters that no file of ours has", p)
	}
	return nil
}

// sum adds the head of an entry to the checksum; its content follows.
func sum(h hash.Hash, t *tar.Header) {
	fmt.Fprintf(h, "%q %c %o %d %d %d\n", t.Name, t.Typeflag, t.Mode, t.Uid, t.Gid, t.Size)
}
