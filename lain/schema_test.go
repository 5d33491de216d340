package lain

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// kinds are the types of the records whose nouns live here.
var kinds = map[string]func() any{
	"apps": func() any { return new(App) }, "releases": func() any { return new(Release) }, "runs": func() any { return new(Run) },
	"owners": func() any { return new(string) }, "procs": func() any { return new(ProcWant) }, "seen": func() any { return new(ProcSeen) },
	"endpoints": func() any { return new(Endpoints) }, "routes": func() any { return new(AppRoutes) }, "hosts": func() any { return new(HostClaim) },
	"builds": func() any { return new(Build) }, "nodes": func() any { return new(RouterSeen) },
}

// testdata/records has a record of each kind as it was written under each schema, <kind>.<schema>.json. They are
// never changed: this is how an older server, or a backup, has them. A field that cannot be read any more was
// renamed or removed, which needs a step in upgrades.
func TestRecordsOfEverySchemaAreRead(t *testing.T) {
	for kind, made := range kinds {
		for schema := 1; schema <= SchemaOf(kind+"/x"); schema++ {
			file := filepath.Join("testdata", "records", kind+"."+strconv.Itoa(schema)+".json")
			record, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("there is no record of schema %d: %v", schema, err)
				continue
			}
			for _, step := range Upgrades(kind + "/x")[schema-1:] {
				if record, err = step(record); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
			}
			dec := json.NewDecoder(bytes.NewReader(record))
			dec.DisallowUnknownFields()
			if err := dec.Decode(made()); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestEveryKindOfTheTableIsTested(t *testing.T) {
	for prefix := range upgrades {
		if kinds[strings.TrimSuffix(prefix, "/")] == nil {
			t.Errorf("%s has steps, but no record that proves them", prefix)
		}
	}
}

func TestSchemaOf(t *testing.T) {
	upgrades["fake/"] = []Upgrade{nil, nil}
	defer delete(upgrades, "fake/")
	for key, want := range map[string]int{"fake/a": 3, "fake/a/b": 3, "fake": 3, "fakes/a": 1, "apps/a": SchemaOf("apps/")} {
		if got := SchemaOf(key); got != want {
			t.Errorf("%s has schema %d, want %d", key, got, want)
		}
	}
}
