package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/pipeline/plan"
)

// cleaned is what a pass of retention asked its cleaners to keep.
type cleaned struct {
	passes []plan.Kept
	keeps  []map[string]bool
}

func (c *cleaned) cleaner() Cleaner {
	return Cleaner{"registry", func(_ context.Context, k plan.Kept) (int, int64, error) {
		c.passes = append(c.passes, k)
		return 1, 100, errors.New("one is in use")
	}}
}

func (c *cleaned) Collect(_ context.Context, keep map[string]bool, _ time.Time) ([]string, error) {
	c.keeps = append(c.keeps, keep)
	return nil, nil
}

func TestRetentionKeepsWhatServesAndForgetsOldBuilds(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	for _, content := range []string{"one", "two", "three"} {
		w.wait(w.submit(w.commit(goodManifest, content)))
	}
	var c cleaned
	w.p.o.Retention.Releases = 2
	w.p.o.Cleaners, w.p.o.Collector = []Cleaner{c.cleaner()}, &c
	w.p.retainAll(t.Context(), true)
	if len(c.passes) != 1 || len(c.passes[0].Releases) != 2 || len(c.passes[0].Images) != 3 || len(c.keeps) != 1 {
		t.Fatalf("young builds are kept beside the releases: %+v, secrets %v", c.passes, c.keeps)
	}
	w.p.o.Now = func() time.Time { return time.Now().Add(keepBuilds + time.Hour) }
	w.p.retainAll(t.Context(), true)
	builds, _, err := w.p.kinds.builds.List(t.Context(), "hello/")
	if err != nil || len(builds) != 2 || len(c.passes[1].Images) != 2 {
		t.Errorf("builds %v, %v; kept %+v", builds, err, c.passes[1])
	}
	releases, _, err := w.p.kinds.releases.List(t.Context(), "hello/")
	if err != nil || len(releases) != 3 {
		t.Errorf("the records of releases stay: %d, %v", len(releases), err)
	}
}

func TestRetentionComesAtOnceWhenRoomIsWanted(t *testing.T) {
	w := newWorld(t)
	passed := make(chan struct{})
	w.p.o.Cleaners = []Cleaner{{"registry", func(context.Context, plan.Kept) (int, int64, error) {
		close(passed)
		return 0, 0, nil
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.p.Retain(ctx) }()
	for range 5 {
		w.p.MakeRoom() // a second pass so soon would close the channel twice
	}
	<-passed
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAFullDiskRefusesABuildAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.engine(serves)
	first := w.wait(w.submit(w.commit(goodManifest, "one")))
	short := fault.New(fault.Unavailable, "the server's disk has 1 MiB left")
	w.p.o.Room = func() error { return short }
	ran := len(w.build.stages())
	run := w.wait(w.submit(w.commit(goodManifest, "two")))
	if run.State != lain.RunFailed || !strings.Contains(run.Reason, short.Sentence) || !strings.Contains(run.Reason, "v1 still serves") {
		t.Errorf("%s: %s", run.State, run.Reason)
	}
	if now := w.build.stages(); len(now) != ran {
		t.Errorf("it began to build: %v", now)
	}
	again, err := w.p.Submit(t.Context(), lain.RunRequest{App: "hello", Change: &lain.Change{Why: lain.WhyRestart}})
	if err != nil {
		t.Fatal(err)
	}
	if run := w.wait(again); run.State != lain.RunDone {
		t.Errorf("a restart needs no room: %s: %s", run.State, run.Reason)
	}
	w.p.o.Room = func() error { return nil }
	if run := w.wait(w.submit(w.commit(goodManifest, "three"))); run.State != lain.RunDone || first.State != lain.RunDone {
		t.Errorf("with room again: %s: %s", run.State, run.Reason)
	}
}

func TestADiskThatFillsIsNamed(t *testing.T) {
	w := newWorld(t)
	plenty, short := func() error { return nil }, func() error { return fault.New(fault.Unavailable, "the server's disk has 1 MiB left") }
	mine := fault.New(fault.Failed, "build.script[0] failed with exit code 2")
	for _, c := range []struct {
		name string
		room func() error
		err  error
		kind fault.Kind
		want string
	}{
		{"our own write", plenty, unix.ENOSPC, fault.Unavailable, "a disk of the server is full; running applications are not touched"},
		{"the engine's", plenty, fault.Hide(fault.Unavailable, errors.New("write /x: no space left on device"), "the image could not be pushed"), fault.Unavailable,
			"the image could not be pushed: a disk of the server is full"},
		{"a step's, while there is no room", short, mine, fault.Failed, "build.script[0] failed with exit code 2: the server's disk has 1 MiB left"},
		{"a step's, while there is", plenty, mine, fault.Failed, "build.script[0] failed with exit code 2"},
		{"a wrong input", short, fault.New(fault.Invalid, "no such image"), fault.Invalid, "no such image"},
		{"a cancel", short, fault.New(fault.Cancelled, "by a person"), fault.Cancelled, "by a person"},
	} {
		w.p.o.Room = c.room
		got := w.p.shortage(c.err)
		if f := fault.Of(got); f.Kind != c.kind || !strings.HasPrefix(f.Error(), c.want) || !errors.Is(got, c.err) {
			t.Errorf("%s: %s %q", c.name, f.Kind, f.Error())
		}
	}
	w.p.o.Room = short
	if got := w.p.shortage(errLost); got != errLost {
		t.Errorf("a process that gives up: %v", got)
	}
}
