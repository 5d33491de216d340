package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

type record struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func TestKind_recordsComeBackAsWritten(t *testing.T) {
	ctx, k := t.Context(), state.Of[record](statetest.Open(t), "apps/")
	if _, err := k.Get(ctx, "hello"); !errors.Is(err, state.ErrNotFound) || fault.Of(err).Kind != fault.NotFound {
		t.Fatalf("get of an absent record: %v", err)
	}
	if _, err := k.Update(ctx, "hello", func(*record) error { return nil }); !errors.Is(err, state.ErrNotFound) {
		t.Fatalf("update of an absent record: %v", err)
	}
	if _, err := k.Delete(ctx, "hello"); err != nil {
		t.Fatalf("delete of an absent record: %v", err)
	}
	created, err := k.Create(ctx, "hello", record{"hello", 1})
	must(t, err)
	if _, err := k.Create(ctx, "hello", record{}); !errors.Is(err, state.ErrExists) || fault.Of(err).Kind != fault.Conflict {
		t.Fatalf("second create: %v", err)
	}
	is(t, k, "hello", state.Item[record]{Key: "hello", Value: record{"hello", 1}, Revision: created})
	put, err := k.Put(ctx, "hello", record{"hello", 2})
	must(t, err)
	is(t, k, "hello", state.Item[record]{Key: "hello", Value: record{"hello", 2}, Revision: put})
	deleted, err := k.Delete(ctx, "hello")
	must(t, err)
	if put != created+1 || deleted != put+1 {
		t.Errorf("revisions %d, %d, %d", created, put, deleted)
	}
}

func is(t *testing.T, k state.Kind[record], key string, want state.Item[record]) {
	t.Helper()
	if got, err := k.Get(t.Context(), key); err != nil || got != want {
		t.Errorf("%s is %+v, %v; want %+v", key, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKind_List(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	k := state.Of[record](s, "procs/")
	for _, key := range []string{"b/web", "a/web", "ab/web", "a/api"} {
		_, err := k.Put(ctx, key, record{Name: key})
		must(t, err)
	}
	last, err := state.Of[record](s, "procs2/").Put(ctx, "a/other", record{})
	must(t, err)
	for prefix, want := range map[string]string{
		"": "a/api a/web ab/web b/web", "a/": "a/api a/web", "a": "a/api a/web ab/web", "c/": "",
	} {
		items, rev, err := k.List(ctx, prefix)
		must(t, err)
		var keys []string
		for _, i := range items {
			keys = append(keys, i.Key)
			if i.Value.Name != i.Key || i.Revision == 0 {
				t.Errorf("%+v", i)
			}
		}
		if got := strings.Join(keys, " "); got != want || rev != last {
			t.Errorf("list %q: %s at %d; want %s at %d", prefix, got, rev, want, last)
		}
	}
}

func TestUpdate_losesNoChangeUnderContention(t *testing.T) {
	const writers, rounds = 8, 25
	ctx, k := t.Context(), state.Of[record](statetest.Open(t), "apps/")
	_, err := k.Create(ctx, "counter", record{})
	must(t, err)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range rounds {
				if _, err := k.Update(ctx, "counter", func(r *record) error { r.Count++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := k.Get(ctx, "counter")
	if err != nil || got.Value.Count != writers*rounds {
		t.Errorf("counted %d, %v; want %d", got.Value.Count, err, writers*rounds)
	}
}

func TestUpdate_isStoppedByItsFunctionAndWritesNothingNew(t *testing.T) {
	ctx, k := t.Context(), state.Of[record](statetest.Open(t), "apps/")
	rev, err := k.Create(ctx, "a", record{Count: 1})
	must(t, err)
	no := errors.New("no")
	if _, err := k.Update(ctx, "a", func(r *record) error { r.Count = 9; return no }); err != no {
		t.Errorf("got %v", err)
	}
	item, err := k.Update(ctx, "a", func(*record) error { return nil })
	if err != nil || item.Revision != rev {
		t.Errorf("a change of nothing: revision %d, %v; want %d", item.Revision, err, rev)
	}
	is(t, k, "a", state.Item[record]{Key: "a", Value: record{Count: 1}, Revision: rev})
}

func TestKind_refusesWhatDoesNotBelongInTheStore(t *testing.T) {
	ctx, k := t.Context(), state.Of[record](statetest.Open(t), "apps/")
	big := record{Name: strings.Repeat("x", state.MaxRecord)}
	if _, err := k.Put(ctx, "a", big); err == nil || !strings.Contains(err.Error(), "apps/a has 10486") {
		t.Errorf("a record of over 1 MiB: %v", err)
	}
	if _, err := k.Put(ctx, "a", record{Name: strings.Repeat("x", state.MaxRecord-100)}); err != nil {
		t.Errorf("a record of nearly 1 MiB: %v", err)
	}
	for _, key := range []string{"", "a b", "a\nb", "\x00", "ä", strings.Repeat("k", 513)} {
		if _, err := k.Put(ctx, key, record{}); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("key %.20q: %v", key, err)
		}
		if _, err := k.Get(ctx, key); err == nil {
			t.Errorf("key %.20q was read", key)
		}
	}
}

type person struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

func TestUpgrading(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	old := state.Of[map[string]string](s, "people/")
	renamed := func(record json.RawMessage) (json.RawMessage, error) { // the field was called "name" once
		return json.RawMessage(strings.Replace(string(record), `"name"`, `"first"`, 1)), nil
	}
	added := func(record json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(strings.Replace(string(record), `}`, `,"last":"?"}`, 1)), nil
	}
	now := state.Of[person](s, "people/").Upgrading(renamed, added)
	_, err := old.Put(ctx, "ada", map[string]string{"name": "Ada"})
	must(t, err)
	for _, read := range []func() (person, error){
		func() (person, error) { i, err := now.Get(ctx, "ada"); return i.Value, err },
		func() (person, error) { l, _, err := now.List(ctx, ""); return l[0].Value, err },
	} {
		if got, err := read(); err != nil || got != (person{"Ada", "?"}) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	_, err = now.Update(ctx, "ada", func(p *person) error { p.Last = "Lovelace"; return nil })
	must(t, err)
	_, err = old.Get(ctx, "ada")
	if err == nil || err.Error() != "the record people/ada has schema 3, but this version reads up to 1" {
		t.Errorf("a record from the future: %v", err)
	}
	if _, _, err := old.List(ctx, ""); err == nil {
		t.Error("a record from the future was listed")
	}
	between := state.Of[map[string]string](s, "people/").Upgrading(renamed)
	_, err = between.Put(ctx, "bob", map[string]string{"first": "Bob"})
	must(t, err)
	if got, err := now.Get(ctx, "bob"); err != nil || got.Value != (person{"Bob", "?"}) {
		t.Errorf("a record of the schema between: %+v, %v", got.Value, err)
	}
}

func TestUpgrading_aStepThatFailsIsNoRecord(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	_, err := state.Of[person](s, "people/").Put(ctx, "ada", person{"Ada", "?"})
	must(t, err)
	broken := func(json.RawMessage) (json.RawMessage, error) { return nil, errors.New("no such field") }
	if got, err := state.Of[person](s, "people/").Upgrading(broken).Get(ctx, "ada"); err == nil {
		t.Errorf("it was read as %+v", got.Value)
	}
}

func TestTx_allOrNothing(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	apps, hosts := state.Of[record](s, "apps/"), state.Of[record](s, "hosts/")
	first, err := apps.Create(ctx, "a", record{Count: 1})
	must(t, err)
	claim := func(revision int64) (int64, error) {
		tx := s.Begin("claim")
		apps.UnchangedIn(tx, "a", revision)
		apps.PutIn(tx, "a", record{Count: 2})
		hosts.CreateIn(tx, "a.example", record{Name: "a"})
		return tx.Commit(ctx)
	}
	if _, err := claim(first + 1); !errors.Is(err, state.ErrConflict) {
		t.Fatalf("a stale condition: %v", err)
	}
	is(t, apps, "a", state.Item[record]{Key: "a", Value: record{Count: 1}, Revision: first})
	rev, err := claim(first)
	must(t, err)
	is(t, apps, "a", state.Item[record]{Key: "a", Value: record{Count: 2}, Revision: rev})
	is(t, hosts, "a.example", state.Item[record]{Key: "a.example", Value: record{Name: "a"}, Revision: rev})
	if _, err := claim(rev); !errors.Is(err, state.ErrConflict) { // the host is taken
		t.Fatalf("a second claim: %v", err)
	}
	tx := s.Begin("release")
	hosts.DeleteIn(tx, "a.example")
	apps.DeleteIn(tx, "absent")
	_, err = tx.Commit(ctx)
	must(t, err)
	if _, err := hosts.Get(ctx, "a.example"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("the claim stays: %v", err)
	}
}

func TestTx_refusesAWholeThatHasABadOrTooLargePart(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	k := state.Of[record](s, "apps/")
	for name, fill := range map[string]func(*state.Tx){
		"a bad key":      func(tx *state.Tx) { k.PutIn(tx, "", record{}) },
		"a large record": func(tx *state.Tx) { k.PutIn(tx, "b", record{Name: strings.Repeat("x", state.MaxRecord)}) },
		"many writes": func(tx *state.Tx) {
			for i := range 128 {
				k.PutIn(tx, fmt.Sprint("k", i), record{})
			}
		},
		"many bytes": func(tx *state.Tx) {
			k.PutIn(tx, "b", record{Name: strings.Repeat("x", 1000<<10)})
			k.PutIn(tx, "c", record{Name: strings.Repeat("x", 1000<<10)})
		},
	} {
		tx := s.Begin("bad")
		k.PutIn(tx, "a", record{})
		fill(tx)
		if _, err := tx.Commit(ctx); err == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if items, _, err := k.List(ctx, ""); err != nil || len(items) != 0 {
		t.Errorf("written: %v, %v", items, err)
	}
}

func TestKind_errorsTellCancelledFromClosed(t *testing.T) {
	s := statetest.Open(t)
	k := state.Of[record](s, "apps/")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Put(ctx, "a", record{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := k.Put(ctx, "a", record{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	if _, err := k.Put(t.Context(), "a", record{}); !errors.Is(err, state.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := k.Follow(t.Context(), "", func(state.Change[record]) error { return nil }); !errors.Is(err, state.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := s.Lease(t.Context(), time.Second); !errors.Is(err, state.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	<-s.Signal(t.Context(), "apps/") // closed at once
}
