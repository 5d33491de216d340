package api

import (
	"strings"
	"testing"
)

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
