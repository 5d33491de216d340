package api

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"lain.internal/lain/access"
)

const schemasFile = "../docs/verbs.schema.json"

const schemasHead = `{
 "$schema": "https://json-schema.org/draft/2020-12/schema",
 "$comment": "Generated: go test ./api -run TestVerbs -update. What each verb answers with --json, a verb a line.",
 "$defs": {
`

// docs/verbs.schema.json is what the table of shapes says, and every verb is in that.
func TestVerbsSchema(t *testing.T) {
	var lines []string
	for _, v := range (&API{}).table() {
		s, known := shapes[v.name]
		if !known {
			t.Errorf("%s has no shape in --json", v.name)
		}
		if schema := s.schema(); schema != nil {
			text, err := json.Marshal(schema)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("  %q: %s", v.name, text))
		}
	}
	if len(shapes) != len((&API{}).table()) {
		t.Errorf("%d shapes for %d verbs", len(shapes), len((&API{}).table()))
	}
	want := schemasHead + strings.Join(lines, ",\n") + "\n }\n}\n"
	if *update {
		if err := os.WriteFile(schemasFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(schemasFile); err != nil || string(got) != want {
		t.Errorf("%s does not say what the verbs answer (%v); write it anew with: go test ./api -run TestVerbs -update", schemasFile, err)
	}
}

func TestSchemaOf(t *testing.T) {
	type inner struct {
		Same  string `json:"same"`
		Other int    `json:"other,omitempty"`
	}
	type outer struct {
		inner
		Same  []string       `json:"same"`
		Maybe *bool          `json:"maybe"`
		Many  map[string]int `json:"many,omitzero"`
		Not   string         `json:"-"`
	}
	got, err := json.Marshal(schemaOf(reflect.TypeFor[[]outer]()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"items":{"properties":{"many":{"additionalProperties":{"type":"integer"},"type":"object"},` +
		`"maybe":{"anyOf":[{"type":"boolean"},{"type":"null"}]},"other":{"type":"integer"},` +
		`"same":{"anyOf":[{"items":{"type":"string"},"type":"array"},{"type":"null"}]}},"required":["maybe","same"],"type":"object"},"type":"array"}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is not in the table is our mistake, and not answered.
func TestAnswer_OnlyWhatTheTableSays(t *testing.T) {
	r := newRig(t)
	r.api.verbs = append(r.api.verbs, verb{name: "whoami twice", action: access.Read, run: func(c *call) error { return c.answer(1, nil) }})
	if code, out, _ := r.do("whoami", "twice", "--json"); code != 70 || out != "" {
		t.Errorf("exit %d: %s", code, out)
	}
}
