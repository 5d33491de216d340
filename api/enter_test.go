package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// replacing is a proc of which web.1 is being replaced.
func replacing(r *rig) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	put(r.t, r.api.seen, "other/web", lain.ProcSeen{App: "other", Proc: "web", Instances: []lain.InstanceSeen{
		{Number: 1, Task: "old", State: "running", Since: at},
		{Number: 1, Task: "new", State: "starting", Since: at.Add(time.Second)},
		{Number: 1, Task: "going", State: lain.StoppingState, Since: at.Add(time.Minute)},
		{Number: 2, Task: "second", State: "running", Since: at},
	}})
	put(r.t, r.api.apps, "other", lain.App{Name: "other", Serving: 1})
}

func TestEnter(t *testing.T) {
	r := newRig(t)
	replacing(r)
	r.far.exit = 3
	code, out, errs := r.do("enter", "other", "web.1", "--", "ls", "-l", "--json")
	if code != 3 || out+errs != "" || len(r.far.entered) != 1 {
		t.Fatalf("exit %d, %d entered: %s%s", code, len(r.far.entered), out, errs)
	}
	if e := r.far.entered[0]; e.Task != "new" || !slices.Equal(e.Argv, []string{"ls", "-l", "--json"}) || e.Terminal != nil || e.Stdin == nil || e.Stdout == nil || e.Stderr == nil {
		t.Errorf("%+v", e)
	}
	r.far.exit = 0
	if code, _, errs := r.do("enter", "other", "web.2"); code != 0 || r.far.entered[1].Task != "second" || len(r.far.entered[1].Argv) != 0 {
		t.Errorf("exit %d: %s %+v", code, errs, r.far.entered)
	}
	for words, says := range map[string]string{
		"enter other web.3": "other has no instance web.3", "enter other web": "say it as ps does", "enter other web.0": "say it as ps does",
		"enter other w;b.1": "not a proc name", "enter nobody web.1": "there is no application nobody", "enter other web.1 --json": "leave --json out",
	} {
		if code, _, errs := r.do(strings.Fields(words)...); code == 0 || !strings.Contains(errs, says) {
			t.Errorf("%s: exit %d: %s", words, code, errs)
		}
	}
	if len(r.far.entered) != 2 {
		t.Errorf("%d were entered", len(r.far.entered))
	}
	r.far.away = fmt.Errorf("a container: %w", engine.ErrNotFound)
	if code, _, errs := r.do("enter", "other", "web.1"); code != 66 || !strings.Contains(errs, "web.1 of other has no running container on this machine") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// Who loses the connection in a container has made no mistake of ours.
func TestEnter_ThePersonIsGone(t *testing.T) {
	r := newRig(t)
	replacing(r)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r.far.inside = leave
	r.far.away = context.Canceled
	if code, _, errs := r.doUntil(ctx, "enter", "other", "web.1"); code != 130 || !strings.Contains(errs, "the connection was lost") {
		t.Errorf("exit %d: %s", code, errs)
	}
	items, _, err := r.api.trail.List(t.Context(), "")
	if err != nil || len(items) != 1 || items[0].Value.Outcome != "cancelled" {
		t.Errorf("the trail: %+v, %v", items, err)
	}
}

// The trail has who entered what by which program, and nothing that was said to it.
func TestEnter_TheTrail(t *testing.T) {
	r := newRig(t)
	replacing(r)
	r.do("enter", "other", "web.1", "--", "psql", "-W", "hunter2")
	r.do("cp", "other", "web.1:/etc/x", "-")
	items, _, err := r.api.trail.List(t.Context(), "")
	if err != nil || len(items) != 2 {
		t.Fatalf("%d lines, %v", len(items), err)
	}
	if e := items[0].Value; e.Verb != "enter" || e.What != "web.1 psql" || e.Outcome != done {
		t.Errorf("%+v", e)
	}
	if e := items[1].Value; e.Verb != "cp" || e.What != "web.1:/etc/x -" || e.Outcome != done {
		t.Errorf("%+v", e)
	}
}

func TestCp(t *testing.T) {
	r := newRig(t)
	replacing(r)
	for words, argv := range map[string][]string{
		"cp other web.1:/tmp/a:b -": {lain.HelperPath, "get", "/tmp/a:b"},
		"cp other - web.2:/tmp/x":   {lain.HelperPath, "put", "/tmp/x"},
	} {
		r.far.entered = nil
		if code, _, errs := r.do(strings.Fields(words)...); code != 0 || len(r.far.entered) != 1 || !slices.Equal(r.far.entered[0].Argv, argv) || r.far.entered[0].Terminal != nil {
			t.Errorf("%s: exit %d: %s %+v", words, code, errs, r.far.entered)
		}
	}
	for _, words := range []string{"cp other web.1:/x web.2:/x", "cp other - -", "cp other web.1:x -", "cp other web.1 -", "cp other web:/x -", "cp other web.9:/x -"} {
		if code, _, _ := r.do(strings.Fields(words)...); code == 0 {
			t.Errorf("%s was taken", words)
		}
	}
}
