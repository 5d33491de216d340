package builder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	buildkit "github.com/moby/buildkit/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/manifest"
	"lain.internal/lain/lain/report"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("ä", maxLine) // twice as many bytes
	cases := map[string]struct {
		pieces []string
		want   []string
	}{
		"split in the middle":         {[]string{"he", "ll", "o\nwor", "ld\n"}, []string{"hello", "world"}},
		"empty lines stay":            {[]string{"a\n\n", "\nb\n"}, []string{"a", "", "", "b"}},
		"no newline at the end":       {[]string{"a\nb"}, []string{"a", "b"}},
		"windows":                     {[]string{"a\r", "\nb\r\n"}, []string{"a", "b"}},
		"progress bar":                {[]string{"10%\r50%", "\r100", "%\r\ndone\n"}, []string{"100%", "done"}},
		"progress bar, no end":        {[]string{"10%\r50%\r"}, []string{"50%"}},
		"a character in two pieces":   {[]string{"\xc3", "\xa4\n"}, []string{"ä"}},
		"long line":                   {[]string{long + "\n"}, []string{strings.Repeat("ä", maxLine/2), strings.Repeat("ä", maxLine/2)}},
		"long progress bar, held low": {[]string{strings.Repeat("x\r", maxLine), "end\n"}, []string{"end"}},
		"nothing":                     {nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			l := &liner{emit: func(s string) { got = append(got, s) }}
			for _, p := range c.pieces {
				l.Write([]byte(p))
			}
			if l.Flush(); fmt.Sprint(got) != fmt.Sprint(c.want) || len(got) != len(c.want) {
				t.Errorf("%d lines %.200q, want %d", len(got), got, len(c.want))
			}
		})
	}
}

// FuzzLines: however a text is cut up, no byte of a plain one is lost and no line has a newline.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\rd"), 3)
	f.Add([]byte("\n\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		whole, pieces := collect(data, len(data)+1), collect(data, size)
		if strings.Join(whole, "\n") != strings.Join(pieces, "\n") {
			t.Fatalf("%q cut in pieces of %d is %q, whole %q", data, size, pieces, whole)
		}
	})
}

func collect(data []byte, size int) (lines []string) {
	l := &liner{emit: func(s string) { lines = append(lines, s) }}
	for size = max(size, 1); len(data) > 0; {
		n := min(size, len(data))
		l.Write(data[:n])
		data = data[n:]
	}
	l.Flush()
	return lines
}

func watchAll(stage string, statuses ...*buildkit.SolveStatus) (*watcher, []string) {
	var got []string
	w := newWatcher(stage, report.Func(func(e report.Event) { got = append(got, string(e.Kind)+" "+e.Text) }))
	ch := make(chan *buildkit.SolveStatus, len(statuses))
	for _, s := range statuses {
		ch <- s
	}
	close(ch)
	w.watch(ch)
	return w, got
}

func TestWatchMarksWhatTheEngineCut(t *testing.T) {
	text := "one\ntwo [output clipped, log limit 1MiB reached]\nthree\n" + engine.GapMark + "four\n"
	_, got := watchAll("build", &buildkit.SolveStatus{Logs: []*buildkit.VertexLog{{Vertex: "a", Stream: 1, Data: []byte(text)}}})
	want := []string{"output one", "output two ", "warning " + clipWarning, "output three", "warning " + gapWarning, "output four"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
}

func TestWatchKeepsStreamsApartAndFindsTheFailure(t *testing.T) {
	now := time.Now()
	w, got := watchAll("build",
		&buildkit.SolveStatus{Vertexes: []*buildkit.Vertex{{Digest: "a", Name: llb.BuildScript, Started: &now}},
			Logs: []*buildkit.VertexLog{{Vertex: "a", Stream: 1, Data: []byte("ou")}, {Vertex: "a", Stream: 2, Data: []byte("er")}}},
		&buildkit.SolveStatus{Logs: []*buildkit.VertexLog{{Vertex: "a", Stream: 1, Data: []byte("t\n")}, {Vertex: "a", Stream: 2, Data: []byte("r\n\x1elain:failed 2\n")}}},
		&buildkit.SolveStatus{Vertexes: []*buildkit.Vertex{
			{Digest: "b", Name: "other", Completed: &now, Error: "context canceled"},
			{Digest: "a", Name: llb.BuildScript, Completed: &now, Error: "exit code: 2"}}},
	)
	if fmt.Sprint(got) != "[output out output err]" || w.failedStep != llb.BuildScript || w.failedEntry != 2 {
		t.Errorf("got %q, step %s[%d]", got, w.failedStep, w.failedEntry)
	}
}

func TestWatchSaysWhatWasCached(t *testing.T) {
	now := time.Now()
	cached := &buildkit.SolveStatus{Vertexes: []*buildkit.Vertex{{Digest: "a", Name: llb.BuildScript, Cached: true, Completed: &now}}}
	if _, got := watchAll("build", cached, cached); len(got) != 1 || !strings.Contains(got[0], "taken from the cache") {
		t.Errorf("in its own stage: %q", got)
	}
	if _, got := watchAll("test", cached); len(got) != 0 {
		t.Errorf("in another: %q", got)
	}
}

func TestFaults(t *testing.T) {
	m := &manifest.Manifest{Build: manifest.Build{Base: "golang", Script: []string{"go build\n" + strings.Repeat("x", 500), strings.Repeat("y", 500)}}}
	j := &Job{builder: &Builder{backend: embedded{}}, request: Request{Manifest: m}, graph: llb.Graph{Manifest: m}}
	old := errors.New("failed to solve: rpc error: code = Unknown desc = executor failed running [/bin/sh -c exit code: 9]: exit code: 2")
	cases := map[string]struct {
		step  string
		entry int
		err   error
		want  string
	}{
		"engine 20.10":   {llb.BuildScript, 0, old, "build.script[0] failed with exit code 2: ( go build…"},
		"newer engines":  {llb.BuildScript, -1, fmt.Errorf("x: %w", &gwpb.ExitError{ExitCode: 137}), "build.script failed with exit code 137"},
		"long":           {llb.BuildScript, 1, old, "build.script[1] failed with exit code 2: ( yyy"},
		"no exit":        {"files of the commit", -1, errors.New("a: rpc error: code = Unknown desc = no space left"), "files of the commit failed: no space left"},
		"no step":        {"", -1, errors.New("connection reset"), "the engine could not run build: connection reset"},
		"does not start": {llb.BuildScript, -1, errors.New("executor failed running [/bin/sh -c x\ny]: no such file"), "build.script failed: no such file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &watcher{failedStep: c.step, failedEntry: c.entry}
			var f *fault.Fault
			err := j.solveFault(t.Context(), "build", w, c.err)
			if !errors.As(err, &f) || !strings.HasPrefix(f.Sentence, c.want) || len(f.Sentence) > 210 || strings.Contains(f.Sentence, "\n") {
				t.Errorf("got %v", err)
			}
			if !errors.Is(err, c.err) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestReadInputs(t *testing.T) {
	dir := t.TempDir()
	for path, body := range map[string]string{"go.sum": "1", "sub/go.sum": "2", "deps/a": "3", "deps/b/c": "4", "a[b": "5"} {
		full := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(body), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "yarn.lock")), os.Symlink("/etc", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		patterns []string
		want     string
	}{
		"default":      {nil, "go.sum yarn.lock"},
		"directory":    {[]string{"deps"}, "deps/a deps/b/c"},
		"glob":         {[]string{"*/go.sum", "missing"}, "sub/go.sum"},
		"bracket":      {[]string{"a[b"}, "a[b"},
		"out of it":    {[]string{"../x", "/etc/passwd", "out/passwd"}, ""},
		"link":         {[]string{"out"}, "out"},
		"link, a file": {[]string{"yarn.lock"}, "yarn.lock"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readInputs(dir, c.patterns)
			var names []string
			for _, n := range []string{"a[b", "deps/a", "deps/b/c", "go.sum", "out", "out/passwd", "sub/go.sum", "yarn.lock", "/etc/passwd"} {
				if got[n] != "" {
					names = append(names, n)
				}
			}
			if s := strings.Join(names, " "); err != nil || s != c.want || len(names) != len(got) {
				t.Errorf("read %q, want %q; %v %v", s, c.want, got, err)
			}
		})
	}
	if got, _ := readInputs(dir, nil); got["yarn.lock"] != "link to /etc/passwd" {
		t.Errorf("the link was followed: %v", got)
	}
}

func TestNewRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"context-hello-1-x/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(Options{WorkDir: dir}); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("left: %v", left)
	}
}
