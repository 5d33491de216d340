package certs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/router/certs/certstest"
)

var errRefused = errors.New("refused")

// bench is a keeper with its folder and an authority. In front of nginx it has a judge that takes everything but
// what refuses says.
type bench struct {
	*Keeper
	t       *testing.T
	ca      *certstest.Authority
	refuses func(text string) bool
	asked   int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ca: certstest.New(t), refuses: func(string) bool { return false }}
	b.Keeper = b.fresh(t.TempDir(), t.TempDir())
	if err := b.Store.Prepare(); err != nil {
		t.Fatal(err)
	}
	return b
}

// fresh is the keeper of the next process.
func (b *bench) fresh(dir, own string) *Keeper {
	return &Keeper{Dir: dir, Store: &Store{Dir: own, Group: -1}, Judge: b.judge, Refusal: func(err error) (string, bool) {
		return "too weak", errors.Is(err, errRefused)
	}}
}

func (b *bench) judge(_ context.Context, files []string) error {
	b.asked++
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if b.refuses(string(text)) {
			return errRefused
		}
	}
	return nil
}

// look makes one look and says what it found; used are the names whose pair counts.
func (b *bench) look(at time.Time, force bool) (changed bool, used string) {
	b.t.Helper()
	changed, err := b.Look(b.t.Context(), at, force)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, p := range b.Pairs(at) {
		names = append(names, p.Name)
	}
	return changed, strings.Join(names, " ")
}

func (b *bench) want(at time.Time, force, wantChanged bool, wantUsed string) {
	b.t.Helper()
	if changed, used := b.look(at, force); changed != wantChanged || used != wantUsed {
		b.t.Errorf("changed %v, used %q; want %v, %q", changed, used, wantChanged, wantUsed)
	}
}

func TestKeeper_AChangeCountsWhenItIsSteady(t *testing.T) {
	b := newBench(t)
	b.ca.Put(b.Dir, "a", year, "a.test")
	b.want(now, false, true, "a") // at the first look there is nothing to disturb
	b.want(now, false, false, "a")
	b.ca.Put(b.Dir, "b", year, "b.test")
	b.want(now, false, false, "a")
	b.want(now, false, true, "a b")
	b.ca.Put(b.Dir, "c", year, "c.test")
	b.want(now, true, true, "a b c")
	before, touch := b.asked, now.Add(time.Second)
	if err := os.Chtimes(filepath.Join(b.Dir, "a.crt"), touch, touch); err != nil {
		t.Fatal(err)
	}
	b.want(now, true, false, "a b c") // the same content under another time
	if b.asked != before {
		t.Error("nginx was asked again about what it knows")
	}
}

func TestKeeper_TheOneBeforeIsUsedWhileItIsValid(t *testing.T) {
	b := newBench(t)
	soonOver := now.AddDate(0, 0, 20)
	b.ca.Put(b.Dir, "a", soonOver, "a.test")
	b.want(now, true, true, "a")
	first := b.Pairs(now)[0].Hash
	certstest.Write(t, filepath.Join(b.Dir, "a.key"), nil, 0o600)
	b.want(now, true, true, "a")
	certstest.Write(t, filepath.Join(b.Dir, "a.key"), []byte("x"), 0o600) // still broken, in another way
	b.want(now, true, false, "a")
	if got := b.Pairs(now)[0].Hash; got != first {
		t.Errorf("%s became %s", first, got)
	}
	b.Keeper = b.fresh(b.Dir, b.Store.Dir)
	b.want(now, false, true, "a")
	r := b.Report(now)
	if r.Broken != 1 || r.Good != 1 || !strings.Contains(r.Lines["a"], "do not make a pair") || !strings.Contains(r.Lines["a"], "is used until "+day(soonOver)) {
		t.Errorf("%+v", r)
	}
	b.want(soonOver, false, true, "")
	b.ca.Put(b.Dir, "a", year, "a.test")
	b.want(soonOver, true, true, "a")
	os.Remove(filepath.Join(b.Dir, "a.crt"))
	os.Remove(filepath.Join(b.Dir, "a.key"))
	b.want(soonOver, true, true, "")
	b.Keeper = b.fresh(b.Dir, b.Store.Dir)
	b.want(soonOver, true, false, "") // taken away is taken away, after a restart too
}

func TestKeeper_TheClockAloneChangesThings(t *testing.T) {
	b := newBench(t)
	end := now.AddDate(0, 0, 30)
	b.ca.Put(b.Dir, "a", end, "a.test")
	b.want(now, true, true, "a")
	if r := b.Report(now); r.Soon != 0 || len(r.Lines) != 0 || !r.First.Equal(end) {
		t.Errorf("%+v", r)
	}
	late := end.AddDate(0, 0, -13)
	b.want(late, false, true, "a")
	if r := b.Report(late); r.Soon != 1 || r.Good != 1 || r.Broken != 0 || !strings.Contains(r.Lines["a"], "ends on "+day(end)) {
		t.Errorf("%+v", r)
	}
	b.want(end, false, true, "")
	if r := b.Report(end); r.Good != 0 || r.Broken != 1 || !r.First.IsZero() || !strings.Contains(r.Lines["a"], "has expired on") {
		t.Errorf("%+v", r)
	}
}

func TestKeeper_OneThatNginxRefusesIsFoundAmongMany(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b.ca.Put(b.Dir, name, year, name+".test")
	}
	bad, err := readPair(b.Dir, "c")
	if err != nil {
		t.Fatal(err)
	}
	b.refuses = func(text string) bool { return text == string(bad.PEM) }
	b.want(now, true, true, "a b d e")
	if r := b.Report(now); r.Broken != 1 || r.Lines["c"] != `nginx refuses the certificate of "c": too weak` {
		t.Errorf("%+v", r)
	}
}

func TestKeeper_AFolderThatIsGoneChangesNothingElse(t *testing.T) {
	b := newBench(t)
	b.ca.Put(b.Dir, "a", year, "a.test")
	b.want(now, true, true, "a")
	away := b.Dir + ".away"
	if err := os.Rename(b.Dir, away); err != nil {
		t.Fatal(err)
	}
	b.want(now, true, true, "a")
	if r := b.Report(now); !strings.Contains(r.Lines[b.Dir], "cannot be read") {
		t.Errorf("%+v", r)
	}
	if err := os.Rename(away, b.Dir); err != nil {
		t.Fatal(err)
	}
	b.want(now, true, true, "a")
	if r := b.Report(now); len(r.Lines) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRead_OddFiles(t *testing.T) {
	b := newBench(t)
	b.ca.Put(b.Dir, "good", year, "good.test")
	b.ca.Put(b.Dir, "open", year, "open.test")
	b.ca.Put(b.Dir, "real", year, "link.test")
	for path, err := range map[string]error{
		"open.key": os.Chmod(filepath.Join(b.Dir, "open.key"), 0o640|0o004),
		"pipe.crt": syscall.Mkfifo(filepath.Join(b.Dir, "pipe.crt"), 0o600),
		"dir.crt":  os.Mkdir(filepath.Join(b.Dir, "dir.crt"), 0o700),
		"link.crt": errors.Join(os.Symlink("real.crt", filepath.Join(b.Dir, "link.crt")), os.Symlink("real.key", filepath.Join(b.Dir, "link.key"))),
		"none.crt": os.Symlink("nowhere", filepath.Join(b.Dir, "none.crt")),
	} {
		if err != nil {
			t.Fatal(path, err)
		}
	}
	for _, name := range []string{"README", ".hidden.crt", "x.pem", "large.crt", "alone.key"} {
		certstest.Write(t, filepath.Join(b.Dir, name), make([]byte, maxFile+1), 0o600)
	}
	all, err := read(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"good": "", "real": "", "link": "", "open": "chmod 600", "pipe": "is not a file", "dir": "is not a file",
		"none": "is missing", "large": "is not a file of at most 256 KiB", "alone": "alone.crt is missing"}
	for name, reason := range want {
		f, ok := all[name]
		if !ok || !strings.Contains(f.broken, reason) || (f.broken == "") != (reason == "") {
			t.Errorf("%s: %v %q, want %q", name, ok, f.broken, reason)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%q", sortedNames(all))
	}
	if good := Check(b.Dir, now); good.Good != 3 || len(good.Lines) != 6 {
		t.Errorf("%+v", good)
	}
}

func TestStore_PublishAndSweep(t *testing.T) {
	b := newBench(t)
	s := b.Store
	b.ca.Put(b.Dir, "a", year, "a.test")
	b.ca.Put(b.Dir, "b", year, "b.test")
	b.want(now, true, true, "a b")
	one, two := b.Pairs(now)[0], b.Pairs(now)[1]
	publish := func(want map[string]string, wantChanged ...string) {
		t.Helper()
		changed, err := s.Publish(want)
		if err != nil || !slices.Equal(changed, wantChanged) {
			t.Errorf("changed %q %v, want %q", changed, err, wantChanged)
		}
	}
	publish(map[string]string{"a.test": one.Hash, "x.test": one.Hash}, "a.test", "x.test")
	publish(map[string]string{"a.test": one.Hash, "x.test": two.Hash}, "x.test")
	if text, err := os.ReadFile(s.hostFile("x.test")); err != nil || string(text) != string(two.PEM) {
		t.Errorf("x.test leads elsewhere: %v", err)
	}
	publish(map[string]string{"a.test": one.Hash})
	if _, err := os.Lstat(s.hostFile("x.test")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("x.test is still there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "next"), nil, 0o600); err != nil { // of a process that died
		t.Fatal(err)
	}
	publish(map[string]string{"a.test": two.Hash}, "a.test")
	os.Remove(filepath.Join(b.Dir, "a.crt"))
	os.Remove(filepath.Join(b.Dir, "a.key"))
	b.want(now, true, true, "b")
	for _, c := range []struct {
		after time.Duration
		there bool
	}{{0, true}, {sweepAfter - 1, true}, {sweepAfter, false}} {
		if err := b.Sweep(now.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(s.pairFile(one.Hash)); (err == nil) != c.there {
			t.Errorf("after %s: %v", c.after, err)
		}
		if _, err := os.Stat(s.pairFile(two.Hash)); err != nil {
			t.Error(err)
		}
	}
}
