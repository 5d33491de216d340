package lain

import (
	"encoding/json"
	"strings"
)

// Upgrade lifts a record by one schema. It is pure, and kept for ever: records of any age are in somebody's backup.
type Upgrade func(record json.RawMessage) (json.RawMessage, error)

// upgrades are how records of a kind got from one schema to the next: the first lifts schema 1 to 2. A kind that
// is not here has schema 1. Whoever changes a record so that an older server would misread it, or so that this
// one would misread older records, adds a step here and a record of the former schema to
// lain/testdata/records.
var upgrades = map[string][]Upgrade{}

// Upgrades are the steps of the kind that a key or a prefix belongs to. Its schema is one more than there are.
func Upgrades(key string) []Upgrade {
	kind, _, _ := strings.Cut(key, "/")
	return upgrades[kind+"/"]
}

// SchemaOf is the schema at which records of the kind of key are written, and the newest that is read.
func SchemaOf(key string) int { return 1 + len(Upgrades(key)) }
