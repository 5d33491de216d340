package api

import (
	"maps"
	"strings"
	"testing"
)

func TestParseDotenv(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"A=1\nB=two words\n":         {"A": "1", "B": "two words"},
		"# a comment\n\n export A=1": {"A": "1"},
		"A='it is $HOME'":            {"A": "it is $HOME"},
		`A="line\nnext \"q\" \\ \$"`: {"A": "line\nnext \"q\" \\ $"},
		"A=p$w=x#y":                  {"A": "p$w=x#y"},
		"A=":                         {"A": ""},
		"\ufeffA=1\r\nB=2\r\n":       {"A": "1", "B": "2"},
	} {
		got, err := parseDotenv(text)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no NAME=value", "A": "line 1", "A=1\n=2": "line 2", "A=1\nA=2": "second time", `A="x`: "not closed", "A='x'y": "not closed", `A="x\"`: "not closed", `A="a"b"`: "not closed",
	} {
		if _, err := parseDotenv(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseDotenv(f *testing.F) {
	for _, s := range []string{"A=1", "export A='x'", `A="\n\""`, "#", "A=\"\\", "\ufeff", "a\x00=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		values, err := parseDotenv(s)
		if err == nil && len(values) == 0 {
			t.Error("no values and no error")
		}
		for name := range values {
			if strings.ContainsAny(name, "=\n") {
				t.Errorf("name %q", name)
			}
		}
	})
}

func TestTypedLine(t *testing.T) {
	for typed, want := range map[string]string{"secret\r": "secret", "secx\x7fret\n": "secret", "no\x15yes\r": "yes", "\x7fa\r": "a"} {
		if got, err := typedLine(strings.NewReader(typed)); got != want || err != nil {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"abc\x03", "abc\x04", "abc"} {
		if got, err := typedLine(strings.NewReader(typed)); err == nil {
			t.Errorf("%q is taken as %q", typed, got)
		}
	}
}
