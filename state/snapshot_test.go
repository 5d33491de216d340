package state_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

func pages(t *testing.T, snapshot *state.Snapshot, between func()) (all []state.Raw, count int) {
	t.Helper()
	for {
		page, err := snapshot.Next(t.Context())
		must(t, err)
		if len(page) == 0 {
			return all, count
		}
		all = append(all, page...)
		count++
		between()
	}
}

func TestSnapshot_isOfOneRevisionWhateverIsWrittenMeanwhile(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	k := state.Of[record](s, "apps/")
	for i := range 200 {
		_, err := k.Put(ctx, fmt.Sprintf("%04d", i), record{Count: i})
		must(t, err)
	}
	lease, err := s.Lease(ctx, time.Minute)
	must(t, err)
	_, err = k.PutLeased(ctx, "alive", record{}, lease)
	must(t, err)
	snapshot, err := s.Snapshot(ctx)
	must(t, err)
	all, count := pages(t, snapshot, func() {
		for _, key := range []string{"0000", "0199", "new"} {
			_, err := k.Put(ctx, key, record{Count: -1})
			must(t, err)
		}
		_, err := k.Delete(ctx, "0150")
		must(t, err)
	})
	if len(all) != 200 || count < 3 {
		t.Fatalf("%d records in %d pages", len(all), count)
	}
	other := statetest.Open(t)
	must(t, other.Load(ctx, all))
	items, _, err := state.Of[record](other, "apps/").List(ctx, "")
	must(t, err)
	for i, item := range items {
		if item.Key != fmt.Sprintf("%04d", i) || item.Value.Count != i {
			t.Errorf("record %d is %+v", i, item)
		}
	}
	if len(items) != 200 {
		t.Errorf("%d records were loaded", len(items))
	}
}

func TestLoad_largeRecords(t *testing.T) {
	ctx, s := t.Context(), statetest.Open(t)
	k := state.Of[record](s, "apps/")
	for i := range 5 {
		_, err := k.Put(ctx, strconv.Itoa(i), record{Name: strings.Repeat("x", 900<<10)})
		must(t, err)
	}
	snapshot, err := s.Snapshot(ctx)
	must(t, err)
	all, _ := pages(t, snapshot, func() {})
	other := statetest.Open(t)
	must(t, other.Load(ctx, all))
	if items, _, err := state.Of[record](other, "apps/").List(ctx, ""); err != nil || len(items) != 5 {
		t.Errorf("%d records, %v", len(items), err)
	}
}

func TestLoad_refusesWhatNoKindWrote(t *testing.T) {
	s := statetest.Open(t)
	good := `{"schema":1,"record":{}}`
	for name, raw := range map[string]state.Raw{
		"no key":         {Key: "apps/", Data: []byte(good)},
		"no kind":        {Key: "hello", Data: []byte(good)},
		"a hostile key":  {Key: "apps/a\nb", Data: []byte(good)},
		"a long key":     {Key: "apps/" + strings.Repeat("k", 600), Data: []byte(good)},
		"no envelope":    {Key: "apps/a", Data: []byte("{}")},
		"no JSON":        {Key: "apps/a", Data: []byte("]")},
		"a newer schema": {Key: "apps/a", Data: []byte(`{"schema":99,"record":{}}`)},
		"a large record": {Key: "apps/a", Data: fmt.Appendf(nil, `{"schema":1,"record":%q}`, strings.Repeat("x", 2<<20))},
	} {
		if err := s.Load(t.Context(), []state.Raw{raw}); err == nil || fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Steps of the table are made for ever: see lain.Upgrades. This is the door that a record passes.
func FuzzLoad(f *testing.F) {
	f.Add("apps/a", []byte(`{"schema":1,"record":{}}`))
	f.Add("../x", []byte(`{"schema":2}`))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		if state.Acceptable(state.Raw{Key: key, Data: data}) && (!json.Valid(data) || !strings.Contains(key, "/") || strings.ContainsAny(key, "\n\x00 ")) {
			t.Errorf("%q of %q was taken", data, key)
		}
	})
}
