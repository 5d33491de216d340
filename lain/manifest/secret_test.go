package manifest

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecretFiles_areBounded(t *testing.T) {
	items := make([]string, maxSecretFiles)
	for i := range items {
		items[i] = fmt.Sprintf("f%d", i)
	}
	file := func(items []string) []byte {
		return []byte(head + "web: {secret_files: [" + strings.Join(items, ", ") + "]}\n")
	}
	m, found := Parse("lain.yaml", file(items))
	if m == nil || len(m.Procs[0].SecretFiles) != maxSecretFiles {
		t.Fatal(found.Err())
	}
	_, found = Parse("lain.yaml", file(append(items, "one-more")))
	if err := found.Err(); err == nil || !strings.Contains(err.Error(), "more than 100 files") {
		t.Errorf("got %v", err)
	}
}
