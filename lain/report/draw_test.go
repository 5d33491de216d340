package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDraw(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Event
		want string
	}{
		{"stage", Event{Kind: Stage, Text: "Building"}, "-----> Building\n"},
		{"detail", Event{Kind: Detail, Text: "cached"}, "       cached\n"},
		{"trouble of two lines", Event{Kind: Trouble, Text: "web is not healthy\nv7 serves"}, " !     web is not healthy\n       v7 serves\n"},
		{"an unknown kind is a detail", Event{Kind: "new", Text: "x"}, "       x\n"},
		{"progress bar keeps its last state", Event{Kind: Output, Text: "10%\r50%\r100%"}, "       100%\n"},
		{"colour stays and is closed", Event{Kind: Output, Text: "\x1b[31mred"}, "       \x1b[31mred\x1b[0m\n"},
		{"cursor moves go", Event{Kind: Output, Text: "a\x1b[2Jb\x1b[1;1Hc"}, "       abc\n"},
		{"a title goes", Event{Kind: Output, Text: "a\x1b]0;owned\x07b"}, "       ab\n"},
		{"other controls are shown as broken", Event{Kind: Output, Text: "a\x00b\x08c"}, "       a�b�c\n"},
		{"an 8 bit CSI is not let through", Event{Kind: Output, Text: "a\xc2\x9b2Jb"}, "       a�2Jb\n"},
		{"reordering marks", Event{Kind: Output, Text: "a\u202eb"}, "       a�b\n"},
	} {
		if got := Draw(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLine(t *testing.T) {
	if got := Line("a\nb\x1b[2Jc\t d", 100); got != "a b [2Jc d" {
		t.Errorf("%q", got)
	}
	if got := Line(strings.Repeat("é", 50), 21); len(got) > 21 || !utf8.ValidString(got) {
		t.Errorf("%q is %d bytes", got, len(got))
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b", "\x1b[", "\x1b[31m", "\x1b]0;x", "\xff\xfe", "a\rb", "\u009b31m", strings.Repeat("\x1b[1m", 2000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(strings.ReplaceAll(s, "\n", " "))
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		for i, r := range got {
			if r == 0x1b {
				if n, colour := escape(got[i:]); !colour || n == 0 {
					t.Fatalf("%q keeps an escape", got)
				}
			} else if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q keeps control %x", got, r)
			}
		}
	})
}
