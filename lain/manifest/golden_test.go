package manifest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lain.internal/lain/lain/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each testdata/NAME.yaml has what is made of it beside, in NAME.want.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".yaml")+".want", describe(t, data))
		})
	}
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// describe is the findings as a person sees them, the manifest as JSON, and its routes.
func describe(t *testing.T, data []byte) string {
	t.Helper()
	m, found := Parse("lain.yaml", data)
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s, column %d\n", f.Severity, f.Column)
		for _, line := range fault.Lines(f.Fault()) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	if (m == nil) != (found.Err() != nil) {
		t.Errorf("manifest is nil: %v, but the error is: %v", m == nil, found.Err())
	}
	if m == nil {
		return b.String()
	}
	text, err := json.MarshalIndent(written(t, m), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%s\n", text)
	routes, err := m.Routes([]string{"example.test", "Example.org"})
	for _, line := range fault.Lines(err) {
		fmt.Fprintf(&b, "no routes: %s\n", line)
	}
	for _, r := range routes {
		fmt.Fprintf(&b, "%s%s -> %s https_only=%v\n", r.Host, r.Path, r.Proc, r.HTTPSOnly)
	}
	return b.String()
}

// written is a value without what is zero in it, or what it is where nothing is written: as JSON, for reading.
func written(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	return pruned(whole)
}

// unwritten are fields as they are where lain.yaml says nothing of them.
var unwritten = map[string]string{"Filters": "[" + defaultFilter + "]", "Instances": "1", "KillTimeout": "1e+10"}

func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if usual, ok := unwritten[k]; ok && fmt.Sprint(v[k]) == usual || k == "Exposed" && fmt.Sprint(v[k]) == fmt.Sprintf("[map[Number:%v Protocol:tcp]]", v["Port"]) {
				delete(v, k)
				continue
			}
			if v[k] = pruned(v[k]); v[k] == nil || v[k] == "" || v[k] == false || v[k] == 0.0 {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
	}
	return v
}
