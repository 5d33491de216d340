package lain

import (
	"strings"
	"testing"
)

func TestParseNames(t *testing.T) {
	long := strings.Repeat("a", 39)
	cases := []struct {
		parse     func(string) error
		good, bad []string
	}{
		{app, []string{"a", "hello", "a-1", "web", long}, []string{"", "A", "1a", "-a", "a_b", "a.b", "a/b", "a b", "a\n", "../a", "ä", long + "a", "service", "resource", "portal", "lain"}},
		{procName, []string{"web", "service", "a1"}, []string{"", "Web", "a.b", "a\x00"}},
		{cluster, []string{"c", "c1"}, []string{"", "1c", "a-b", "C", strings.Repeat("a", 17), "a\n"}},
		{person, []string{"ann", "ann.b-c"}, []string{"", ".ann", "Ann", "ann@b", "ann\n"}},
		{commit, []string{strings.Repeat("0a", 20), strings.Repeat("0a", 32)}, []string{"", "abc", strings.Repeat("0A", 20), strings.Repeat("g", 40), strings.Repeat("0", 41), strings.Repeat("a", 40) + "\n"}},
	}
	for i, c := range cases {
		for _, s := range c.good {
			if err := c.parse(s); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		for _, s := range c.bad {
			if c.parse(s) == nil {
				t.Errorf("%d: %q is taken", i, s)
			}
		}
	}
}

func app(s string) error      { _, err := ParseAppName(s); return err }
func procName(s string) error { _, err := ParseProcName(s); return err }
func cluster(s string) error  { _, err := ParseCluster(s); return err }
func person(s string) error   { _, err := ParsePerson(s); return err }
func commit(s string) error   { _, err := ParseCommit(s); return err }

func TestParse_clipsAHostileName(t *testing.T) {
	if err := app(strings.Repeat("A\n", 1000)); len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
		t.Errorf("the sentence has %d bytes: %q", len(err.Error()), err)
	}
}

func TestCommit(t *testing.T) {
	if got := Commit("0123456789").Short(); got != "0123456" {
		t.Errorf("short: %s", got)
	}
	if got := Commit("01").Short(); got != "01" {
		t.Errorf("short of a short one: %s", got)
	}
	if !Commit("").IsZero() || !Commit(strings.Repeat("0", 40)).IsZero() || Commit("00a0").IsZero() {
		t.Error("IsZero is wrong")
	}
}
