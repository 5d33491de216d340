package envfile

import (
	"maps"
	"strings"
	"testing"

	"lain.internal/lain/helper/start"
)

func TestParse(t *testing.T) {
	for file, want := range map[string]map[string]string{
		"":                                 {},
		"A=1\nB=2":                         {"A": "1", "B": "2"},
		"\ufeffA=1\r\n\r\n# c\n  # d\nB= ": {"A": "1", "B": ""},
		"export A=1\nexport\tB=2":          nil,
		"  A = b c  # comment\nB=a#b":      {"A": "b c", "B": "a#b"},
		"A='a\\n \"$X\" # b'\nB=2":         {"A": `a\n "$X" # b`, "B": "2"},
		`A="a\n\t\"\\\$x\q" # c`:           {"A": "a\n\t\"\\$x\\q"},
		"A=\"-----BEGIN\nx=y\n\"\nB=2\n":   {"A": "-----BEGIN\nx=y\n", "B": "2"},
		"A=''":                             {"A": ""},
		"A=a=b==":                          {"A": "a=b=="},
	} {
		got, err := Parse([]byte(file))
		if (err != nil) != (want == nil) || !maps.Equal(got, want) {
			t.Errorf("%q: %q %v", file, got, err)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	const value = "hunter2"
	for file, sentence := range map[string]string{
		"A=1\n" + value:                "line 2 ",
		"A='" + value + "\n\n":         "line 1 ",
		"A=1\nA=" + value:              "line 2 ",
		"A='x' " + value:               "line 1 ",
		"A='x\n'\nB='" + value:         "line 3 ",
		"PORT=" + value:                "PORT is set by Lain",
		"=" + value:                    "is not the name",
		"A B=" + value:                 "is not the name",
		"A=" + value + "\x00":          "NUL",
		strings.Repeat("x", maxFile+1): "larger",
	} {
		got, err := Parse([]byte(file))
		if err == nil || !strings.Contains(err.Error(), sentence) || strings.Contains(err.Error(), value) {
			t.Errorf("%.40q: %q %v", file, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=1\nB='2\n'", "export A=\"\\n\"", "#\n\nA= b # c", "A='", "=\n="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		values, err := Parse(file)
		if err != nil {
			return
		}
		for key, value := range values {
			if err := start.CheckConfig(key, value); err != nil {
				t.Error(err)
			}
		}
	})
}
