package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

func TestParseEntry(t *testing.T) {
	at := time.Date(2026, 11, 22, 23, 47, 45, 190615323, time.UTC)
	cases := map[string]struct {
		raw  string
		want LogLine
	}{
		"whole":              {"2026-11-22T23:47:45.190615323Z hello  world", LogLine{At: at, Text: "hello  world"}},
		"empty text":         {"2026-11-22T23:47:45.190615323Z ", LogLine{At: at}},
		"no time":            {"hello world", LogLine{Text: "hello world"}},
		"nothing":            {"", LogLine{}},
		"a time alone":       {"2026-11-22T23:47:45.190615323Z", LogLine{Text: "2026-11-22T23:47:45.190615323Z"}},
		"bytes are not text": {"2026-11-22T23:47:45.190615323Z \xff\x1b[2J", LogLine{At: at, Text: "\xff\x1b[2J"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := parseEntry(c.raw); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add("2026-11-22T23:47:45.190615323Z hello")
	f.Add("2026-11-22T23:47:45Z  ")
	f.Fuzz(func(t *testing.T, raw string) {
		if l := parseEntry(raw); !strings.HasSuffix(raw, l.Text) {
			t.Errorf("%q is not the end of %q", l.Text, raw)
		}
	})
}

func TestEntryWriter(t *testing.T) {
	const first, second = "2026-11-22T23:47:45Z ", "2026-11-22T23:47:46Z "
	long := strings.Repeat("x", maxLine)
	cases := map[string]struct {
		writes, want []string
	}{
		"lines":               {[]string{first + "a\n", second + "b\n"}, []string{"45 a", "46 b"}},
		"an empty line":       {[]string{first + "\n"}, []string{"45 "}},
		"a line in pieces":    {[]string{first + "aa", second + "bb", second + "c\n", second + "d\n"}, []string{"45 aabbc", "46 d"}},
		"a line without end":  {[]string{first + "a\n", second + "b"}, []string{"45 a", "46 b"}},
		"longer than we hold": {[]string{first + long, second + "y\n"}, []string{"45 " + long, "46 y"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			w := &entryWriter{line: func(l LogLine) error { got = append(got, l.At.Format("05 ")+l.Text); return nil }}
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

func TestSlotOf(t *testing.T) {
	cases := map[string]struct {
		name, task string
		want       int
	}{
		"an instance":     {"lab_hello_web.3.t1abc", "t1abc", 3},
		"a proc with dot": {"lab_hello_web.api.12.t1abc", "t1abc", 12},
		"of every node":   {"lab_hello_web.n0de.t1abc", "t1abc", 0},
		"nothing":         {"", "", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := slotOf(map[string]string{taskNameLabel: c.name, taskLabel: c.task}); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestElsewhere(t *testing.T) {
	at := func(node, id string) swarm.Task {
		task := swarm.Task{ID: "t-" + node, NodeID: node, Slot: 2}
		task.Spec.ContainerSpec = &swarm.ContainerSpec{Labels: map[string]string{ProcLabel: "web"}}
		task.Status.ContainerStatus = &swarm.ContainerStatus{ContainerID: id}
		return task
	}
	got := elsewhere([]swarm.Task{at("here", "c1"), at("there", "c2"), at("later", ""), {ID: "bare"}}, "here")
	if want := []source{{task: "t-there", proc: "web", instance: 2}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
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
