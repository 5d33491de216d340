package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCp_Down(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	d.write("old", "old and longer")
	if err := os.Chmod(filepath.Join(d.dir, "old"), 0o750); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "FAR_SAYS=the file")
	for to, file := range map[string]string{"new": "new", ".": "x.csv", "old": "old", "./web.1:": "web.1:"} {
		got := d.lain("cp", "web.1:/tmp/x.csv", to)
		if got.code != 0 || got.out != "" || got.ssh[len(got.ssh)-1] != "cp hello web.1:/tmp/x.csv -" {
			t.Errorf("%s: %d, %s%s, %q", to, got.code, got.out, got.err, got.ssh)
		}
		if text, err := os.ReadFile(filepath.Join(d.dir, file)); err != nil || string(text) != "the file" {
			t.Errorf("%s: %q, %v", to, text, err)
		}
	}
	if st, err := os.Stat(filepath.Join(d.dir, "old")); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("its mode is %v, %v", st.Mode(), err)
	}
	d.env = append(d.env, "FAR_CODE=66")
	if got := d.lain("cp", "web.1:/tmp/x.csv", "broken"); got.code != 66 {
		t.Errorf("%d, %s", got.code, got.err)
	}
	if got := d.lain("cp", "web.1:/tmp/x.csv", "no/such/folder"); got.code != 64 || got.ssh != nil || !strings.Contains(got.err, "no/such/folder: no such file") {
		t.Errorf("%d, %s, %q", got.code, got.err, got.ssh)
	}
	names, err := os.ReadDir(d.dir)
	if err != nil || len(names) != 5 { // with .git
		t.Errorf("%v, %v", names, err)
	}
}

func TestCp_Up(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	d.write("seed.sql", "select 1;\n")
	d.env = append(d.env, "FAR_READS=1")
	for to, want := range map[string]string{"web.1:/tmp/": "web.1:/tmp/seed.sql", "web.1:/tmp/other": "web.1:/tmp/other"} {
		if got := d.lain("cp", "seed.sql", to); got.code != 0 || got.out != "select 1;\n" || got.ssh[len(got.ssh)-1] != "cp hello - "+want {
			t.Errorf("%s: %d, %s%s, %q", to, got.code, got.out, got.err, got.ssh)
		}
	}
	for from, says := range map[string]string{"none": "none: no such file", ".": ". is no file"} {
		if got := d.lain("cp", from, "web.1:/tmp/x"); got.code != 64 || got.ssh != nil || !strings.Contains(got.err, says) {
			t.Errorf("%s: %d, %s, %q", from, got.code, got.err, got.ssh)
		}
	}
}

// What is not for this side goes as it is.
func TestCp_AsItIs(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	for _, words := range [][]string{{"web.1:/x", "-"}, {"-", "web.1:/x"}, {"web.1:/x", "web.2:/x"}, {"--help"}, {"a", "b", "c"}} {
		got := d.lain(append([]string{"cp"}, words...)...)
		if got.code != 0 || !slices.ContainsFunc(got.ssh, func(w string) bool { return strings.HasSuffix(w, strings.Join(words, " ")) }) {
			t.Errorf("%q: %d, %s, %q", words, got.code, got.err, got.ssh)
		}
	}
}
