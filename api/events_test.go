package api

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
)

func eventsRig(t *testing.T) (*rig, func(minute int) time.Time) {
	r := newRig(t)
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 10, minute, 0, 0, time.UTC) }
	add := func(rel lain.Release, run lain.Run) {
		rel.App, run.App, rel.Run = "hello", "hello", run.Number
		put(t, r.api.releases, lain.NumberKey("hello", rel.Number), rel)
		put(t, r.api.runs, lain.NumberKey("hello", run.Number), run)
	}
	add(lain.Release{Number: 1, By: "alice", Why: lain.WhyPush, Created: at(1), Status: lain.ReleaseReplaced, Ended: at(20)}, lain.Run{Number: 1, Release: 1, State: lain.RunDone, Ended: at(2)})
	add(lain.Release{Number: 2, By: "bob", Why: lain.WhySecrets, Created: at(10), Status: lain.ReleaseFailed, Reason: "web is not healthy", Ended: at(12)},
		lain.Run{Number: 2, Release: 2, State: lain.RunFailed, Ended: at(13)})
	add(lain.Release{Number: 3, By: "bob", Why: lain.WhyReturn, From: 1, Created: at(11), Status: lain.ReleaseServing}, lain.Run{Number: 2, Release: 2, State: lain.RunFailed, Ended: at(13)})
	code := 137
	put(t, r.api.diaries, "hello", lain.Diary{App: "hello", Lines: []lain.DiaryLine{
		{First: at(3), At: at(5), Times: 12, What: lain.Died, Proc: "web", Instance: 1, Release: 1, ExitCode: &code, OOM: true, Reason: "task: non-zero exit (137): unhealthy container"},
		{First: at(6), At: at(6), Times: 1, What: lain.Unwell, Proc: "web", Instance: 2, Release: 1},
	}})
	return r, at
}

func TestEventsTable(t *testing.T) {
	r, _ := eventsRig(t)
	want := `2026-01-01 10:01:00Z  v1 began: push by alice, r-1
2026-01-01 10:02:00Z  v1 serves: r-1
2026-01-01 10:05:00Z  web.1 of v1 died: out of memory, exit code 137, unhealthy container (x12 since 10:03:00)
2026-01-01 10:06:00Z  web.2 of v1 unwell
2026-01-01 10:10:00Z  v2 began: secrets by bob, r-2
2026-01-01 10:11:00Z  v3 returned: to v1, r-2
2026-01-01 10:12:00Z  v2 failed: web is not healthy
`
	if _, out, errs := r.do("events", "hello"); out != want {
		t.Errorf("%s\n%s, want\n%s", errs, out, want)
	}
	_, last, _ := r.do("events", "hello", "-n", "2")
	if !strings.HasSuffix(want, last) || strings.Count(last, "\n") != 2 {
		t.Errorf("-n 2:\n%s", last)
	}
	if _, later, _ := r.do("events", "hello", "--since", "2026-01-01T10:06:00Z"); !strings.HasSuffix(want, later) || strings.Count(later, "\n") != 4 {
		t.Errorf("--since:\n%s", later)
	}
	_, out, _ := r.do("events", "hello", "--json")
	var all []map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 7 {
		t.Fatalf("%v in %s", err, out)
	}
	if died := all[2]; died["what"] != "died" || died["exit_code"] != 137.0 || died["oom"] != true || died["times"] != 12.0 || died["proc"] != "web" || died["instance"] != 1.0 {
		t.Errorf("%v", died)
	}
}

// output is what a verb that follows has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// sees waits for a text.
func (o *output) sees(t *testing.T, text string) string {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		o.mu.Lock()
		now := o.text.String()
		o.mu.Unlock()
		if strings.Contains(now, text) {
			return now
		}
		select {
		case <-o.more:
		case <-limit:
			t.Fatalf("never %q:\n%s", text, now)
		}
	}
}

func TestEventsAreFollowed(t *testing.T) {
	r, at := eventsRig(t)
	ctx, leave := context.WithCancel(t.Context())
	out := &output{more: make(chan struct{}, 1)}
	var errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- r.api.Run(ctx, gitserver.Session{Person: "alice", Stdout: out, Stderr: &errs}, []string{"events", "hello", "-f", "-n", "1"})
	}()
	first := out.sees(t, "v2 failed")
	if strings.Count(first, "\n") != 1 {
		t.Errorf("-n 1 begins with\n%s", first)
	}
	book, err := r.api.diaries.Get(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	book.Value.Add(lain.DiaryLine{First: at(30), At: at(30), Times: 1, What: lain.Well, Proc: "web", Instance: 2, Release: 1})
	put(t, r.api.diaries, "hello", book.Value)
	if all := out.sees(t, "web.2 of v1 well"); strings.Count(all, "\n") != 2 {
		t.Errorf("old ones are told again:\n%s", all)
	}
	leave()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
