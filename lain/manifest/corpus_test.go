package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// corpus is the folder of real lain.yaml files, which are other people's and no part of the project. Each file has
// in EXPECTED.json what LAIN's own parser made of it, for the domain example.test.
const corpus = "LAIN_CORPUS"

// expected is one entry of EXPECTED.json.
type expected struct {
	Parsed map[string]any `json:"parsed"`
	Error  string         `json:"parse_error"`
}

// wanted are the differences that are meant, by file, as paths in what LAIN made of it.
var wanted = map[string]map[string]string{
	"ein-plus__dummy__1.yaml": {
		"procs.useless": "LAIN ignored cron sections; they are read as its fork ein-plus did",
	},
}

// beyond are keys that LAIN's parser did not have.
var beyond = []string{"apptype", "schedule", "shared_volumes", "deadline", "secrets", "dockerfile", "target", "inputs"}

func TestCorpus_agreesWithLAIN(t *testing.T) {
	dir := os.Getenv(corpus)
	if dir == "" {
		t.Logf("%s is not set: nothing was compared with LAIN's own parser", corpus)
		return
	}
	for name, want := range readExpected(t, dir) {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			compareWithLAIN(t, name, data, want)
		})
	}
}

func readExpected(t *testing.T, dir string) map[string]expected {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "EXPECTED.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]expected
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 || len(files) != len(all) {
		t.Fatalf("%s has %d files and EXPECTED.json %d: %v", dir, len(files), len(all), err)
	}
	return all
}

func compareWithLAIN(t *testing.T, name string, data []byte, want expected) {
	t.Helper()
	m, found := Parse(name, data)
	if (m == nil) != (want.Error != "") {
		t.Fatalf("our error: %v; LAIN's: %q", found.Err(), want.Error)
	}
	if m == nil {
		return
	}
	var got map[string]any
	if err := json.Unmarshal(Show(m, "example.test"), &got); err != nil {
		t.Fatal(err)
	}
	mapped(want.Parsed)
	differences := map[string]string{}
	differ("", want.Parsed, got, differences)
	for path, diff := range differences {
		if wanted[name][path] == "" {
			t.Errorf("%s: -LAIN +ours:\n%s", path, diff)
		}
	}
	for path, reason := range wanted[name] {
		if differences[path] == "" {
			t.Errorf("%s does not differ any more, and was to because %s", path, reason)
		}
	}
}

// differ finds where two objects differ, by path. Keys that LAIN did not have are no difference.
func differ(path string, want, got map[string]any, found map[string]string) {
	for _, key := range slices.Concat(keysOf(want), keysOf(got)) {
		where := strings.TrimPrefix(path+"."+key, ".")
		w, inWant := want[key]
		g, inGot := got[key]
		wm, wok := w.(map[string]any)
		gm, gok := g.(map[string]any)
		switch {
		case !inWant && slices.Contains(beyond, key):
		case wok && gok:
			differ(where, wm, gm, found)
		case inWant != inGot || !cmp.Equal(w, g):
			found[where] = cmp.Diff(w, g)
		}
	}
}

func keysOf(m map[string]any) []string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	return names
}

// mapped puts what LAIN's parser wrote down into our terms: the image of the release, which only a cluster knows, is
// null; scripts are without the parentheses and the cleaning line that LAIN added.
func mapped(parsed map[string]any) {
	for _, p := range parsed["procs"].(map[string]any) {
		proc := p.(map[string]any)
		if image, _ := proc["image"].(string); strings.HasPrefix(image, "registry.example.test/"+parsed["appname"].(string)+":release-") {
			proc["image"] = nil
		}
	}
	build := parsed["build"].(map[string]any)
	for _, section := range []any{build, build["prepare"], parsed["release"], parsed["test"]} {
		if s, ok := section.(map[string]any); ok {
			bare(s)
		}
	}
	if prepare, ok := build["prepare"].(map[string]any); ok {
		lines := prepare["script"].([]any)
		prepare["script"] = lines[:len(lines)-1]
	}
}

func bare(section map[string]any) {
	lines := section["script"].([]any)
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(strings.TrimPrefix(line.(string), "( "), " )")
	}
}
