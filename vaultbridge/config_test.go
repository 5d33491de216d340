package vaultbridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"lain.internal/lain/lain/fault"
)

func TestConfig_RoundTrip(t *testing.T) {
	b := newWorld(t).bridge()
	if values, v, err := b.Config(t.Context(), "hello", 0); err != nil || len(values) != 0 || v.Number != 0 {
		t.Fatalf("before: %v %+v %v", values, v, err)
	}
	want := map[string]string{"A": "1", "_B": "two\nlines", "C": "", "BINARY": "\xff\x01"}
	v, err := b.SetConfig(t.Context(), "hello", want, "ann")
	if err != nil || v.Number != 1 || v.By != "ann" {
		t.Fatalf("%+v %v", v, err)
	}
	if got, v, err := b.Config(t.Context(), "hello", 0); err != nil || !maps.Equal(got, want) || v.Number != 1 {
		t.Errorf("%q %+v %v", got, v, err)
	}
	if v := set(t, b, "hello", "A", "1"); v.Number != 1 {
		t.Errorf("the same again is version %d", v.Number)
	}
	if v := set(t, b, "hello", "A", "2", "D", "4"); v.Number != 2 {
		t.Errorf("a change is version %d", v.Number)
	}
	if v, err := b.UnsetConfig(t.Context(), "hello", []string{"C", "D", "C"}, "bob"); err != nil || v.Number != 3 {
		t.Errorf("%+v %v", v, err)
	}
	keys, v, err := b.ConfigKeys(t.Context(), "hello")
	if err != nil || !slices.Equal(keys, []string{"A", "BINARY", "_B"}) || v.Number != 3 {
		t.Errorf("%v %+v %v", keys, v, err)
	}
	if old, _, err := b.Config(t.Context(), "hello", 1); err != nil || old["A"] != "1" {
		t.Errorf("%v %v", old, err)
	}
	if v, err := b.RollbackConfig(t.Context(), "hello", 1, "bob"); err != nil || v.Number != 4 {
		t.Errorf("%+v %v", v, err)
	}
	if got, _, err := b.Config(t.Context(), "hello", 0); err != nil || !maps.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
	history, err := b.ConfigHistory(t.Context(), "hello")
	if err != nil || len(history) != 4 || history[1].By != "bob" || history[3].By != "ann" {
		t.Errorf("%+v %v", history, err)
	}
}

func TestConfig_Refusals(t *testing.T) {
	b := newWorld(t).bridge()
	set(t, b, "hello", "A", "1")
	const value = "hunter2-is-the-value"
	for key, v := range map[string]string{"": value, "1A": value, "A-B": value, "A=B": value, "A/../B": value, "LAIN_X": value, "DEPLOYD_X": value,
		"PORT": value, "Ä": value, "A\x00": value, "NUL": value + "\x00", "LARGE": strings.Repeat(value, 10000)} {
		_, err := b.SetConfig(t.Context(), "hello", map[string]string{key: v, "GOOD": "1"}, "ann")
		if kind(err) != fault.Invalid || strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := b.UnsetConfig(t.Context(), "hello", []string{"A", "B"}, "ann"); kind(err) != fault.NotFound {
		t.Errorf("unset what is not set: %v", err)
	}
	if _, err := b.SetConfig(t.Context(), "../x", map[string]string{"A": "1"}, "ann"); kind(err) != fault.Invalid {
		t.Errorf("a hostile application: %v", err)
	}
	if _, err := b.RollbackConfig(t.Context(), "hello", 7, "ann"); kind(err) != fault.NotFound || !errors.Is(err, ErrNotFound) {
		t.Errorf("to what never was: %v", err)
	}
	if keys, v, err := b.ConfigKeys(t.Context(), "hello"); err != nil || !slices.Equal(keys, []string{"A"}) || v.Number != 1 {
		t.Errorf("something was written: %v %+v %v", keys, v, err)
	}
}

// Whoever sets another key at the same moment loses nothing.
func TestConfig_ManyWriters(t *testing.T) {
	b := newWorld(t).bridge()
	set(t, b, "hello", "FIRST", "1")
	errs := make([]error, 4)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = b.SetConfig(t.Context(), "hello", map[string]string{fmt.Sprintf("K%d", i): "v"}, "ann")
		})
	}
	group.Wait()
	keys, v, err := b.ConfigKeys(t.Context(), "hello")
	if err := errors.Join(append(errs, err)...); err != nil || len(keys) != len(errs)+1 || v.Number != len(errs)+1 {
		t.Errorf("%v %+v %v", keys, v, err)
	}
}
