package manifest

import (
	"os"
	"strings"
	"testing"
)

// Every key has its row in the reference, on the side it belongs to: served, or not served yet.
func TestDocs_haveEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../docs/lain-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	served, later, ok := strings.Cut(string(text), "\n## Not served yet\n")
	if !ok {
		t.Fatal("the page has no section of what is not served")
	}
	for _, k := range keys {
		name := strings.Replace(k.name, ".*", ".NAME", 1)
		if name == "*" {
			continue
		}
		here, there := documented(served, name), documented(later, name)
		if !here && !there || k.later && !there {
			t.Errorf("%s of %s: served %v, found among the served %v, among the others %v", name, k.in, !k.later, here, there)
		}
	}
}

// documented says whether a row of a table names a key, in its first cell or as an inner key in its second or last.
func documented(page, name string) bool {
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "|") && (strings.Contains(line, "`"+name+"`") || strings.Contains(line, "{"+name) || strings.Contains(line, ", "+name+"}") || strings.Contains(line, ", "+name+",")) {
			return true
		}
	}
	return false
}
