package diary

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

func proc(instances ...lain.InstanceSeen) lain.ProcSeen {
	return lain.ProcSeen{App: "hello", Proc: "web", Instances: instances}
}

func in(task, state string, failed int) lain.InstanceSeen {
	return lain.InstanceSeen{Number: 1, Task: task, State: state, Failed: failed, Release: 3}
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		before, after lain.ProcSeen
		want          []lain.Happening
	}{
		"nothing":                     {proc(in("a", "running", 0)), proc(in("a", "running", 0)), nil},
		"the first":                   {proc(), proc(in("a", "running", 0)), []lain.Happening{lain.Started}},
		"on its way":                  {proc(), proc(in("a", "preparing", 0)), nil},
		"is up":                       {proc(in("a", "starting", 0)), proc(in("a", "running", 0)), []lain.Happening{lain.Started}},
		"dies":                        {proc(in("a", "running", 0)), proc(in("a", "failed", 1)), []lain.Happening{lain.Died}},
		"is dead still":               {proc(in("a", "failed", 1)), proc(in("a", "failed", 1)), nil},
		"ends":                        {proc(in("a", "running", 0)), proc(in("a", "complete", 1)), []lain.Happening{lain.Died}},
		"cannot start":                {proc(), proc(in("a", "rejected", 1)), []lain.Happening{lain.Died}},
		"dies and is followed":        {proc(in("a", "running", 0)), proc(in("b", "starting", 1)), []lain.Happening{lain.Died}},
		"dies and the next runs":      {proc(in("a", "running", 2)), proc(in("b", "running", 3)), []lain.Happening{lain.Died, lain.Started}},
		"was seen dead":               {proc(in("a", "failed", 1)), proc(in("b", "running", 1)), []lain.Happening{lain.Started}},
		"is replaced":                 {proc(in("a", "stopping", 0)), proc(in("b", "running", 0)), []lain.Happening{lain.Started}},
		"is replaced unseen":          {proc(in("a", "running", 0)), proc(in("b", "running", 0)), []lain.Happening{lain.Started}},
		"is told to end":              {proc(in("a", "running", 0)), proc(in("a", "stopping", 0)), nil},
		"falls sick":                  {proc(in("a", "running", 0)), proc(in("a", "unwell", 0)), []lain.Happening{lain.Unwell}},
		"gets well":                   {proc(in("a", "unwell", 0)), proc(in("a", "running", 0)), []lain.Happening{lain.Well}},
		"dies of it":                  {proc(in("a", "unwell", 0)), proc(in("a", "failed", 1)), []lain.Happening{lain.Died}},
		"dies of it, and is followed": {proc(in("a", "unwell", 0)), proc(in("b", "starting", 1)), []lain.Happening{lain.Died}},
	} {
		var got []lain.Happening
		for _, n := range compare(c.before, c.after) {
			got = append(got, n.what)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

type ends struct{ asked []string }

func (e *ends) TaskEnd(_ context.Context, task string) (engine.TaskEnd, error) {
	e.asked = append(e.asked, task)
	return engine.TaskEnd{Ran: true, ExitCode: 137, OOM: true, Reason: "task: non-zero exit (137)"}, nil
}

type rig struct {
	t    *testing.T
	k    *Keeper
	ends *ends
	now  time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, ends: &ends{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	r.k = New(Options{Store: statetest.Open(t), Ends: r.ends, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return r.now }})
	if _, err := r.k.apps.Put(t.Context(), "hello", lain.App{Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	return r
}

// sees is a record of web as Follow tells it.
func (r *rig) sees(p lain.ProcSeen) {
	r.k.changed(r.t.Context(), state.Change[lain.ProcSeen]{Key: "hello/web", Value: p})
}

// after lets time pass and returns how often the diary was written meanwhile.
func (r *rig) after(d time.Duration) (written int) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(time.Second)
		for _, p := range r.k.pages {
			if due := !p.due.IsZero() && !p.due.After(r.now); !due {
				continue
			}
			before := r.revision()
			r.k.flush(r.t.Context(), false)
			if r.revision() != before {
				written++
			}
		}
	}
	return written
}

func (r *rig) revision() int64 {
	items, _, err := r.k.books.List(r.t.Context(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	if len(items) == 0 {
		return 0
	}
	return items[0].Revision
}

func (r *rig) lines() []lain.DiaryLine {
	r.t.Helper()
	book, err := r.k.books.Get(r.t.Context(), "hello")
	if err != nil {
		r.t.Fatal(err)
	}
	return book.Value.Lines
}

func TestWhatWasThereIsNoNews(t *testing.T) {
	r := newRig(t)
	r.sees(proc(in("a", "running", 0)))
	r.k.changed(t.Context(), state.Change[lain.ProcSeen]{Synced: true})
	if n := r.after(time.Minute); n != 0 {
		t.Errorf("written %d times", n)
	}
	r.sees(proc(in("a", "failed", 1)))
	if n := r.after(time.Minute); n != 1 {
		t.Errorf("written %d times", n)
	}
	if l := r.lines(); len(l) != 1 || l[0].What != lain.Died || !l[0].OOM || *l[0].ExitCode != 137 || l[0].Release != 3 || l[0].Times != 1 || !slices.Equal(r.ends.asked, []string{"a"}) {
		t.Errorf("%+v, asked for %q", l, r.ends.asked)
	}
}

// A crash loop of an hour is two lines and few writes.
func TestACrashLoopIsFewWrites(t *testing.T) {
	r := newRig(t)
	r.k.changed(t.Context(), state.Change[lain.ProcSeen]{Synced: true})
	written := 0
	for i := range 350 { // one in ten seconds
		r.sees(proc(in(string(rune('A'+i)), "running", i)))
		r.sees(proc(in(string(rune('A'+i)), "failed", i+1)))
		written += r.after(10 * time.Second)
	}
	written += r.after(2 * seldom)
	if written > 25 {
		t.Errorf("written %d times", written)
	}
	if l := r.lines(); len(l) != 2 || l[0].Times != 350 || l[1].Times != 350 {
		t.Errorf("%+v", l)
	}
	other := in("z", "unwell", 350)
	r.sees(proc(other))
	if n := r.after(10 * time.Second); n != 1 {
		t.Errorf("what is new is written %d times within ten seconds", n)
	}
}

func TestAnApplicationThatIsGoneHasNoDiary(t *testing.T) {
	r := newRig(t)
	r.k.changed(t.Context(), state.Change[lain.ProcSeen]{Synced: true})
	r.sees(proc(in("a", "running", 0)))
	r.after(10 * time.Second)
	if _, err := r.k.apps.Delete(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	r.sees(proc(in("a", "failed", 1)))
	if n := r.after(10 * time.Second); n != 0 || len(r.k.pages) != 0 {
		t.Errorf("written %d times, %d pages", n, len(r.k.pages))
	}
	r.k.sweep(t.Context())
	if r.revision() != 0 {
		t.Error("it is there still")
	}
}

// What was not written yet is when the server stops.
func TestAStopWritesTheRest(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r.k.changed(t.Context(), state.Change[lain.ProcSeen]{Synced: true})
	r.sees(proc(in("a", "running", 0)))
	if err := r.k.write(ctx); err != nil || len(r.lines()) != 1 {
		t.Errorf("%v, %+v", err, r.lines())
	}
}
