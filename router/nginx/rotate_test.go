package nginx

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSetAside(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	write := func(text string) {
		if err := os.WriteFile(log, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	aside := func(want bool) {
		t.Helper()
		if moved, err := setAside(log, 2, 2); moved != want || err != nil {
			t.Errorf("set aside: %t, want %t: %v", moved, want, err)
		}
	}
	aside(false) // nginx has never written it
	write("aa")
	aside(false) // not beyond the limit
	for _, text := range []string{"aaa", "bbb", "ccc"} {
		write(text)
		aside(true)
		aside(true) // until nginx has opened a new one
	}
	for n, want := range map[int]string{1: "ccc", 2: "bbb", 3: ""} {
		if got, _ := os.ReadFile(older(log, n)); string(got) != want {
			t.Errorf("log %d is %q, want %q", n, got, want)
		}
	}
}
