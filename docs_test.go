package lain_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName  = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]*)\(`)
	goFile    = regexp.MustCompile("`([a-z_]+(?:/[a-z_]+)*\\.go)`")
	pagesName = []string{"docs/security.md", "docs/design.md", "docs/first-day.md"}
)

// What the pages call proved is proved by a test of that name, and where they say a thing is, there is a file.
func TestPagesNameWhatIsThere(t *testing.T) {
	tests, files := source(t)
	for _, page := range pagesName {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testName.FindAllStringSubmatch(string(text), -1) {
			if !tests[name[1]] {
				t.Errorf("%s names the test %s, which is not there", page, name[1])
			}
		}
		for _, file := range goFile.FindAllStringSubmatch(string(text), -1) {
			if !files[file[1]] {
				t.Errorf("%s names the file %s, which is not there", page, file[1])
			}
		}
	}
}

// source are the names of all tests and the paths of all Go files.
func source(t *testing.T) (tests, files map[string]bool) {
	t.Helper()
	tests, files = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		files[path] = true
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, f := range testFunc.FindAllSubmatch(text, -1) {
			tests[string(f[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, files
}
