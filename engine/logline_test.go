package engine

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 23, 47, 45, 190615323, time.UTC)
	details := "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1"
	cases := map[string]struct {
		raw  string
		want LogLine
	}{
		"whole":              {"2026-11-22T23:47:45.190615323Z " + details + " hello  world", LogLine{At: at, Task: "t1", Text: "hello  world"}},
		"empty text":         {"2026-11-22T23:47:45.190615323Z " + details + " ", LogLine{At: at, Task: "t1"}},
		"no details":         {"2026-11-22T23:47:45.190615323Z hello world", LogLine{At: at, Text: "hello world"}},
		"no time":            {"hello world", LogLine{Text: "hello world"}},
		"escaped attribute":  {"2026-11-22T23:47:45.190615323Z a=b%2Cc,com.docker.swarm.task.id=t%31 x", LogLine{At: at, Task: "t1", Text: "x"}},
		"attribute in text":  {"2026-11-22T23:47:45.190615323Z said com.docker.swarm.task.id=t1", LogLine{At: at, Text: "said com.docker.swarm.task.id=t1"}},
		"nothing":            {"", LogLine{}},
		"broken escape":      {"2026-11-22T23:47:45.190615323Z com.docker.swarm.task.id=%zz x", LogLine{At: at, Text: "com.docker.swarm.task.id=%zz x"}},
		"bytes are not text": {"2026-11-22T23:47:45.190615323Z " + details + " \xff\x1b[2J", LogLine{At: at, Task: "t1", Text: "\xff\x1b[2J"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := parseLine(c.raw); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add("2026-11-22T23:47:45.190615323Z com.docker.swarm.task.id=t1 hello")
	f.Add("2026-11-22T23:47:45Z =,=, ")
	f.Fuzz(func(t *testing.T, raw string) {
		if l := parseLine(raw); !strings.HasSuffix(raw, l.Text) {
			t.Errorf("%q is not the end of %q", l.Text, raw)
		}
	})
}

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", maxLine+3)
	cases := map[string]struct {
		writes, want []string
	}{
		"lines":            {[]string{"a\nb\n"}, []string{"a", "b"}},
		"torn":             {[]string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		"rest":             {[]string{"a\nb"}, []string{"a", "b"}},
		"empty lines":      {[]string{"\n\n"}, []string{"", ""}},
		"without newlines": {[]string{long, "y\n"}, []string{long, "y"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			w := &lineWriter{line: func(s string) error { got = append(got, s); return nil }}
			for _, s := range c.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatal(n, err)
				}
			}
			if err := w.flush(); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %d lines %.50q, want %d", len(got), got, len(c.want))
			}
		})
	}
}

func TestLastLines(t *testing.T) {
	if got := lastLines("a\nb\nc\n", 2); !slices.Equal(got, []string{"b", "c"}) {
		t.Error(got)
	}
	if got := lastLines("\n", 2); got != nil {
		t.Error(got)
	}
}
