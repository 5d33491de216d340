package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	if moved, err := setAside(path, 3, 2); moved || err != nil {
		t.Errorf("nothing was set aside: %v, %v", moved, err)
	}
	for n, content := range []string{"one", "two", "three", "4"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		moved, err := setAside(path, 3, 2)
		if err != nil || moved != (n < 3) {
			t.Errorf("%s: moved %v, %v", content, moved, err)
		}
	}
	if got := folder(t, dir); got != "log=4 log.1=three log.2=two" {
		t.Errorf("there lie %s", got)
	}
}

func folder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+"="+string(data))
	}
	return strings.Join(all, " ")
}
