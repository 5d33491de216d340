package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// told notes what a reporter is told.
type told struct {
	mu   sync.Mutex
	text string
}

func (t *told) Report(e report.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += report.Draw(e)
}

func TestBuildImage(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	c := w.commit(goodManifest, "one")
	w.wait(w.submit(c))
	w.build.on("buildimage", func(ctx context.Context) error { // a push goes on meanwhile
		if run := w.wait(w.submit(w.commit(goodManifest, "two"))); run.State != lain.RunDone {
			t.Errorf("%+v", run)
		}
		return nil
	})
	out := &told{}
	id, err := w.p.BuildImage(t.Context(), w.release(1), out)
	if err != nil || id != "sha256:of-"+w.release(1).Tree || out.text != "" {
		t.Errorf("%s, %v\n%s", id, err, out.text)
	}
	if w.build.open != 0 {
		t.Errorf("%d jobs are left open", w.build.open)
	}
}

func TestBuildImage_OfWhatHasChangedSince(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	r := w.release(1)
	b, err := w.p.kinds.builds.Get(t.Context(), "hello/"+r.Tree)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.p.kinds.builds.Delete(t.Context(), "hello/"+r.Tree); err != nil {
		t.Fatal(err)
	}
	b.Value.Key = "another"
	if _, err := w.p.kinds.builds.Put(t.Context(), "hello/another", b.Value); err != nil {
		t.Fatal(err)
	}
	out := &told{}
	if id, err := w.p.BuildImage(t.Context(), r, out); err != nil || id == "" || !strings.Contains(out.text, "has changed since v1 was built") {
		t.Errorf("%s, %v\n%s", id, err, out.text)
	}
}

func TestBuildImage_Refusals(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	broken := w.commit("appname: hello\nweb:\n  cmd: run\n", "no build")
	none := w.commit("", "nothing")
	for says, change := range map[string]func(*lain.Release){
		"v1 of hello has no build image: it was not built here":     func(r *lain.Release) { r.Image.Digest = "sha256:" + strings.Repeat("a", 64) },
		"is not in the repository any more":                         func(r *lain.Release) { r.Commit = lain.Commit(strings.Repeat("1", 40)) },
		"cannot be read any more: lain.yaml: build is missing":      func(r *lain.Release) { r.Commit = broken },
		"lain.yaml of " + none.Short() + " cannot be read any more": func(r *lain.Release) { r.Commit = none },
	} {
		r := w.release(1)
		change(&r)
		_, err := w.p.BuildImage(t.Context(), r, report.Discard)
		if fault.ExitCode(err) != 66 || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: exit %d, %v", says, fault.ExitCode(err), err)
		}
	}
	if ran := w.build.stages(); slices.Contains(ran, "buildimage") {
		t.Errorf("it was built: %v", ran)
	}
	w.p.o.Room = func() error { return fault.New(fault.Unavailable, "the disk is short") }
	if _, err := w.p.BuildImage(t.Context(), w.release(1), report.Discard); err == nil || !strings.Contains(err.Error(), "the disk is short") {
		t.Errorf("%v", err)
	}
}

func TestBuildImage_ThatFails(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	w.wait(w.submit(w.commit(goodManifest, "one")))
	gone := errors.New("the person is gone")
	ctx, leave := context.WithCancelCause(t.Context())
	for _, c := range []struct {
		ends error
		hint string
	}{
		{fault.New(fault.Failed, "build.script[0] failed with exit code 3").WithHint("Push again."), "logs hello --run r-1"},
		{fault.New(fault.Unavailable, "the engine could not run build").WithHint("Push again."), "Say it again"},
		{fault.New(fault.Invalid, "the base is not there").WithHint("Name another."), "Name another."},
	} {
		w.build.on("buildimage", func(context.Context) error { return c.ends })
		_, err := w.p.BuildImage(ctx, w.release(1), report.Discard)
		if f := fault.Of(err); f.Sentence != fault.Of(c.ends).Sentence || f.Kind != fault.Of(c.ends).Kind || !strings.Contains(f.Hint, c.hint) {
			t.Errorf("%v: %v, %s", c.ends, err, f.Hint)
		}
	}
	w.build.on("buildimage", func(context.Context) error { leave(gone); return context.Canceled })
	if _, err := w.p.BuildImage(ctx, w.release(1), report.Discard); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if w.build.open != 0 {
		t.Errorf("%d jobs are left open", w.build.open)
	}
}

// The build gets its secrets as a push's does, and cannot show them.
func TestBuildImage_HidesSecrets(t *testing.T) {
	w, v := newVaultWorld(t, serves)
	v.set("/run/secrets/token", 3)
	w.wait(w.submit(w.commit(strings.Replace(goodManifest, "build:", "build:\n  secrets: [token]", 1), "one")))
	w.build.asked.Secrets = nil
	w.build.on("buildimage", func(context.Context) error {
		w.build.reporter.Report(report.Event{Kind: report.Output, Text: "it is build-secret-value"})
		return nil
	})
	out := &told{}
	if _, err := w.p.BuildImage(t.Context(), w.release(1), out); err != nil || !strings.Contains(out.text, "it is [redacted]") || strings.Contains(out.text, "secret-value") {
		t.Errorf("%v\n%s", err, out.text)
	}
	if len(w.build.asked.Secrets) != 1 || w.build.asked.Secrets[0].Version != "l-3" {
		t.Errorf("it got %v", w.build.asked.Secrets)
	}
}
