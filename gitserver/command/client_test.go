package command

import (
	"slices"
	"testing"

	"lain.internal/lain/lain/verbs"
)

// What the client writes is read here word for word.
func TestSplitReadsWhatTheClientWrites(t *testing.T) {
	words := []string{"run", "", "a b", "it's", `"`, `\`, "\\'", "$HOME", "`id`", "-x", "--", "größe", "''", "a;b|c&d>e", "*", "~", "#"}
	if got, err := Split(verbs.Line(words)); err != nil || !slices.Equal(got, words) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzClientLine(f *testing.F) {
	f.Add("config", "set", "it's")
	f.Add("", "a b", `\`)
	f.Add("-v", "\"", "$x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		words := []string{a, b, c}
		if got, err := Split(verbs.Line(words)); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q is written %s and read as %q, %v", words, verbs.Line(words), got, err)
		}
	})
}
