package runlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/lain/report"
)

func open(t *testing.T, path string) *Log {
	t.Helper()
	l, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func collect(t *testing.T, path string, live *Log) []string {
	t.Helper()
	var got []string
	err := Follow(t.Context(), path, live, func(events []report.Event) error {
		for _, e := range events {
			got = append(got, e.Text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return got
}

func TestFollowersSeeEverythingInOrder(t *testing.T) {
	const lines = 50_000
	path := filepath.Join(t.TempDir(), "app", "1.jsonl")
	l := open(t, path)
	var wg sync.WaitGroup
	results := make([][]string, 3)
	for i := range results {
		wg.Go(func() { results[i] = collect(t, path, l) })
	}
	for i := range lines {
		l.Report(report.Event{Kind: report.Output, Text: fmt.Sprint(i)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	results = append(results, collect(t, path, nil))
	for n, got := range results {
		if len(got) != lines {
			t.Fatalf("follower %d saw %d lines of %d", n, len(got), lines)
		}
		for i, text := range got {
			if text != fmt.Sprint(i) {
				t.Fatalf("follower %d saw %q at %d", n, text, i)
			}
		}
	}
}

func TestAnEventIsSeenWithoutMoreEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.jsonl")
	l := open(t, path)
	l.Report(report.Event{Text: "alone"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	seen := errors.New("seen")
	if err := Follow(ctx, path, l, func([]report.Event) error { return seen }); !errors.Is(err, seen) {
		t.Error(err)
	}
}

func TestASlowFollowerDoesNotHoldUpTheRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.jsonl")
	l := open(t, path)
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = Follow(ctx, path, l, func([]report.Event) error { <-ctx.Done(); return context.Cause(ctx) })
	})
	for range 200_000 { // ends although nobody reads
		l.Report(report.Event{Text: "x"})
	}
	cancel(errors.New("enough"))
	wg.Wait()
}

func TestALineThatAKillCutIsPassedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.jsonl")
	l := open(t, path)
	l.Report(report.Event{Text: "before"})
	l.Close()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"t":"2026-01-01T00:00:00Z","k":"out`)
	f.Close()
	l = open(t, path)
	l.Report(report.Event{Text: "after"})
	l.Close()
	if got := collect(t, path, nil); len(got) != 2 || got[0] != "before" || got[1] != "after" {
		t.Errorf("%q", got)
	}
}

func FuzzFollow(f *testing.F) {
	f.Add([]byte("{}\n{\"m\":\"x\"}\nnot json\n\n{\"m\":\"half"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Follow(t.Context(), path, nil, func([]report.Event) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestAFullDiskLosesNoLineOnceThereIsRoomAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.jsonl")
	l := open(t, path)
	say := func(text string) { l.Report(report.Event{Text: text}) }
	say("before")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	disk := l.file
	swap := func(to *os.File) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flush()
		l.file = to
	}
	swap(full)
	say("meanwhile")
	swap(disk) // flushes in vain first
	say("after")
	if err := l.Close(); err == nil {
		t.Error("nobody is told")
	}
	if got := collect(t, path, nil); fmt.Sprint(got) != "[before meanwhile after]" {
		t.Errorf("%q", got)
	}
}

func TestWhatIsKeptForAFullDiskIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.jsonl")
	l := open(t, path)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	disk := l.file
	l.file = full
	const lines = 60_000
	for i := range lines {
		l.Report(report.Event{Text: fmt.Sprint(i)})
	}
	l.mu.Lock()
	held := len(l.buf)
	l.file = disk
	l.mu.Unlock()
	if held > maxKept+64<<10 {
		t.Errorf("%d bytes are kept", held)
	}
	_ = l.Close()
	got := collect(t, path, nil)
	if len(got) < 1000 || len(got) == lines || got[0] != "0" || got[len(got)-1] != fmt.Sprint(lines-1) {
		t.Errorf("%d lines, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}
