package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
)

// deployed is an application with two procs, of which none is web.
func deployed(r *rig) {
	put(r.t, r.api.apps, "other", lain.App{Name: "other", Serving: 4})
	put(r.t, r.api.releases, lain.NumberKey("other", 4), lain.Release{App: "other", Number: 4, Commit: "abc", Procs: []lain.ProcSpec{
		{Name: "worker", Type: lain.Worker, MemoryBytes: 64 << 20, Env: []string{"A=1"}}, {Name: "migrate", Type: lain.Oneshot}}})
	put(r.t, r.api.apps, "empty", lain.App{Name: "empty"})
}

func TestRun(t *testing.T) {
	r := newRig(t)
	deployed(r)
	r.far.exit = 3
	if code, out, errs := r.do("run", "hello", "--", "ls", "-l", "--json"); code != 3 || out+errs != "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if len(r.far.like) != 1 || len(r.far.entered) != 1 || r.far.ended != 1 {
		t.Fatalf("made like %+v, entered %+v, %d ended", r.far.like, r.far.entered, r.far.ended)
	}
	if l := r.far.like[0]; l.App != "hello" || l.Release != 1 || l.Spec.Name != "web" || l.Spec.Port != 80 {
		t.Errorf("like %+v", l)
	}
	if e := r.far.entered[0]; e.Task != "one-off" || !slices.Equal(e.Argv, []string{"ls", "-l", "--json"}) {
		t.Errorf("entered %+v", e)
	}
	r.far.exit = 0
	for words, want := range map[string]lain.ProcSpec{
		"run other":                           {Name: "worker", MemoryBytes: 64 << 20},
		"run other -p migrate -- ./migrate":   {Name: "migrate"},
		"run other --memory 1g -- ./big task": {Name: "worker", MemoryBytes: 1 << 30},
	} {
		r.far.like = nil
		code, _, errs := r.do(strings.Fields(words)...)
		if code != 0 || len(r.far.like) != 1 || r.far.like[0].Spec.Name != want.Name || r.far.like[0].Spec.MemoryBytes != want.MemoryBytes || r.far.like[0].Commit != "abc" {
			t.Errorf("%s: exit %d: %s %+v", words, code, errs, r.far.like)
		}
	}
}

func TestRun_Refusals(t *testing.T) {
	r := newRig(t)
	deployed(r)
	for words, says := range map[string]string{
		"run nobody":               "there is no application nobody",
		"run empty -- true":        "empty has no release yet",
		"run other -p web -- true": "v4 of other has no proc web",
		"run other -p W":           "not a proc name",
		"run other --memory lots":  "no amount of memory",
		"run other --json -- true": "leave --json out",
		"run":                      "run takes APP",

		"run other --image nonsense -- true":        `--image "nonsense" is no image of a release: say release or build`,
		"run other --image= -- true":                "say release or build",
		"run empty --image build":                   "empty has no release yet",
		"run other --image build --json -- true":    "leave --json out",
		"run other --image build -p web -- true":    "v4 of other has no proc web",
		"run other --image build --memory 1 -- sh":  "at least 6 MiB",
		"run other --image build --image x -- true": `"x" is no image`,
	} {
		if code, _, errs := r.do(strings.Fields(words)...); code == 0 || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d: %s", words, code, errs)
		}
	}
	if len(r.far.like)+len(r.far.entered) != 0 {
		t.Errorf("containers were made: %+v", r.far.like)
	}
}

func TestRun_WhichImage(t *testing.T) {
	r := newRig(t)
	deployed(r)
	if code, _, errs := r.do("run", "other", "--image", "nonsense"); code != 64 {
		t.Errorf("exit %d: %s", code, errs)
	}
	for words, want := range map[string]string{"run other": "", "run other --image release": "", "run other --image build -p migrate --memory 1g -- make test": "sha256:of-v4"} {
		r.far.of = nil
		if code, out, errs := r.do(strings.Fields(words)...); code != 0 || !slices.Equal(r.far.of, []string{want}) || out+errs != "" {
			t.Errorf("%s: exit %d, made of %q, said %s", words, code, r.far.of, out+errs)
		}
	}
	if l := r.far.like[len(r.far.like)-1]; l.App != "other" || r.far.ended != len(r.far.like) {
		t.Errorf("like %+v, %d of %d ended", l, r.far.ended, len(r.far.like))
	}
}

// building says what a build does.
func building(_ context.Context, out report.Reporter) error {
	out.Report(report.Event{Kind: report.Stage, Text: "Making the build image of abc"})
	out.Report(report.Event{Kind: report.Output, Text: "compiling"})
	return nil
}

// A build is told of in a line, and at a terminal in all of them, before the command begins.
func TestRun_ShowsTheBuild(t *testing.T) {
	r := newRig(t)
	deployed(r)
	r.far.build = building
	if code, out, errs := r.do("run", "other", "--image", "build", "--", "true"); code != 0 || out != "" || errs != "-----> Making the build image of abc\n" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	var screen bytes.Buffer
	r.far.inside = func() { screen.WriteString("the command\n") }
	want := "-----> Making the build image of abc\n       compiling\n-----> Starting a container like worker of v4\nthe command\n"
	if code := r.atTerminal(t.Context(), strings.NewReader(""), &screen, "run", "other", "--image", "build"); code != 0 || screen.String() != want {
		t.Errorf("exit %d: %s", code, screen.String())
	}
}

// Ctrl-C ends a build, and what else is typed meanwhile is for the command.
func TestRun_CtrlC(t *testing.T) {
	r := newRig(t)
	deployed(r)
	keys, types := io.Pipe()
	r.far.build = func(ctx context.Context, _ report.Reporter) error {
		_, _ = types.Write([]byte("ls\n"))
		_, _ = types.Write([]byte{'a', 3})
		<-ctx.Done()
		return errors.New("the engine's words for it")
	}
	var screen bytes.Buffer
	if code := r.atTerminal(t.Context(), keys, &screen, "run", "other", "--image", "build"); code != 130 || !strings.Contains(screen.String(), "it was stopped before") || len(r.far.entered) != 0 {
		t.Errorf("exit %d: %s", code, screen.String())
	}
	keys, types = io.Pipe()
	r.far.build = func(context.Context, report.Reporter) error { _, err := types.Write([]byte("ls\n")); return err }
	r.far.inside = func() {
		go func() { _, _ = types.Write([]byte{3}); types.Close() }()
		if all, err := io.ReadAll(r.far.entered[0].Stdin); err != nil || string(all) != "ls\n\x03" {
			t.Errorf("the command reads %q, %v", all, err)
		}
	}
	if code := r.atTerminal(t.Context(), keys, &screen, "run", "other", "--image", "build"); code != 0 || len(r.far.entered) != 1 {
		t.Errorf("exit %d: %s", code, screen.String())
	}
}

// A lost connection ends a build, and a server that stops.
func TestRun_ABuildEndsWithWhoWaitsForIt(t *testing.T) {
	r := newRig(t)
	deployed(r)
	ctx, leave := context.WithCancel(t.Context())
	draining, drain := context.WithCancel(t.Context())
	r.api.Draining = draining
	for _, c := range []struct {
		who  context.Context
		end  func()
		code int
		says string
	}{{ctx, leave, 130, "the connection was lost"}, {t.Context(), drain, 75, "the server is restarting"}} {
		r.far.build = func(ctx context.Context, _ report.Reporter) error {
			c.end()
			<-ctx.Done()
			return errors.New("it broke")
		}
		if code, _, errs := r.doUntil(c.who, "run", "other", "--image", "build", "--", "true"); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("exit %d: %s", code, errs)
		}
	}
	if len(r.far.entered) != 0 {
		t.Errorf("entered %+v", r.far.entered)
	}
}

func TestRun_TheTrail(t *testing.T) {
	r := newRig(t)
	deployed(r)
	r.do("run", "other", "--", "psql", "-W", "hunter2")
	items, _, err := r.api.trail.List(t.Context(), "")
	if err != nil || len(items) != 1 {
		t.Fatalf("%d lines, %v", len(items), err)
	}
	if e := items[0].Value; e.Verb != "run" || e.What != "psql" || e.Outcome != done {
		t.Errorf("%+v", e)
	}
}
