package vaultbridge

import (
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

func appName(s string) lain.AppName { return lain.AppName(s) }

// needs is what a proc "web" declares.
func needs(paths ...lain.SecretPath) []Need { return []Need{{Proc: "web", Files: paths}} }

func specs(d Delivery, procs ...lain.ProcName) []lain.ProcSpec {
	var out []lain.ProcSpec
	for _, p := range procs {
		out = append(out, lain.ProcSpec{Name: p, Secrets: d.Secrets[p], Config: d.Config})
	}
	return out
}

func TestDeliver(t *testing.T) {
	w := newWorld(t)
	b, e := w.bridge(), &fakeEngine{}
	c := NewCourier(b, e)
	if d, err := c.Deliver(t.Context(), "hello", needs()); err != nil || d.Config != nil || len(d.Secrets) != 0 {
		t.Errorf("nothing needed: %+v %v", d, err)
	}
	if s, err := w.root.Logical().ReadWithContext(t.Context(), "auth/approle/role/lain-c1-hello"); s != nil || err != nil {
		t.Errorf("an application that keeps nothing has a role: %v", err)
	}
	put(t, b, file("hello", lain.EveryProc, "/a"), "everybody's")
	put(t, b, file("hello", lain.EveryProc, "/b"), "")
	if _, err := b.PutFile(t.Context(), file("hello", "web", "/a"), File{Value: []byte("web's"), UID: 7, GID: 8, Mode: 0o440}, "ann"); err != nil {
		t.Fatal(err)
	}
	set(t, b, "hello", "A", "1")
	asked := []Need{{Proc: "worker", Files: []lain.SecretPath{"/a"}}, {Proc: "web", Files: []lain.SecretPath{"/b", "/a", "/a"}}}
	d, err := c.Deliver(t.Context(), "hello", asked)
	if err != nil || len(d.Secrets["web"]) != 2 || len(d.Secrets["worker"]) != 1 || d.Config == nil || e.created != 4 {
		t.Fatalf("%+v %v, %d created", d, err, e.created)
	}
	web := d.Secrets["web"][0]
	if web.Path != "/a" || web.Scope != "web" || web.UID != 7 || web.GID != 8 || web.Mode != 0o440 || web.Version != 1 || string(e.data[web.Secret]) != "web's" {
		t.Errorf("%+v holds %q", web, e.data[web.Secret])
	}
	if m := d.Secrets["worker"][0]; m.Scope != lain.EveryProc || m.Mode != DefaultMode || string(e.data[m.Secret]) != "everybody's" {
		t.Errorf("%+v holds %q", m, e.data[m.Secret])
	}
	if got := string(e.data[d.Config.Secret]); got != "lain-config 1\nA=1\x00" {
		t.Errorf("config is %q", got)
	}
	for _, s := range e.secrets {
		if len(s.Spec.Name) > 64 || strings.Contains(fmt.Sprint(s.Spec), "web's") {
			t.Errorf("%+v", s.Spec)
		}
	}
	again, err := c.Deliver(t.Context(), "hello", asked)
	if err != nil || !reflect.DeepEqual(again, d) || e.created != 4 {
		t.Errorf("the second time: %+v %v, %d created", again, err, e.created)
	}
	put(t, b, file("hello", "web", "/a"), "new")
	if d, err = c.Deliver(t.Context(), "hello", asked); err != nil || d.Secrets["web"][0].Version != 2 || e.created != 5 {
		t.Errorf("%+v %v, %d created", d, err, e.created)
	}
}

func TestDeliver_AllThatIsMissing(t *testing.T) {
	b, e := newWorld(t).bridge(), &fakeEngine{}
	c := NewCourier(b, e)
	put(t, b, file("hello", "web", "/there"), "x")
	put(t, b, file("hello", "web", "/removed"), "x")
	if _, err := b.RemoveFile(t.Context(), file("hello", "web", "/removed")); err != nil {
		t.Fatal(err)
	}
	asked := []Need{{Proc: "web", Files: []lain.SecretPath{"/removed", "/there", "/it's"}}, {Proc: "job", Files: []lain.SecretPath{"/lain/app/k"}},
		{Proc: "lax", Files: []lain.SecretPath{"/lax"}, Bypass: true}}
	_, err := c.Deliver(t.Context(), "hello", asked)
	var missing *MissingError
	if !errors.As(err, &missing) || len(missing.Files) != 3 || e.created != 0 {
		t.Fatalf("%v, %d created", err, e.created)
	}
	f := fault.Of(err)
	want := []string{"ssh lain secret put -p job hello /lain/app/k < FILE", `ssh lain secret put -p web hello ''\''/it'\''\'\'''\''s'\''' < FILE`,
		"ssh lain secret put -p web hello /removed < FILE"}
	if f.Kind != fault.Invalid || !slices.Equal(strings.Split(f.Hint, "\n"), want) || !strings.HasPrefix(f.Sentence, "3 secret files are missing: /lain/app/k of job, ") {
		t.Errorf("%+v", f)
	}
	d, err := c.Deliver(t.Context(), "hello", asked[2:])
	if err != nil || len(d.Left) != 1 || d.Left[0] != (MissingFile{"lax", "/lax"}) || len(d.Secrets["lax"]) != 0 {
		t.Errorf("bypass: %+v %v", d, err)
	}
}

// Two shells, the person's and the one whose rules the server's parser follows, give the path back.
func TestQuotedTwice(t *testing.T) {
	for _, path := range []lain.SecretPath{"/a/b-c_d.e", "/a b", "/it's", `/"$HOME"`, "/a;b|c`d`", `/\\`, "/''"} {
		first, err := exec.Command("sh", "-c", "printf %s "+quotedTwice(path)).Output()
		if err != nil {
			t.Fatal(err)
		}
		second, err := exec.Command("sh", "-c", "printf %s "+string(first)).Output()
		if err != nil || string(second) != string(path) {
			t.Errorf("%s became %s, then %s: %v", path, first, second, err)
		}
	}
}

// An application that is made again counts its versions from 1: what the engine still has of the old one is not
// taken for it.
func TestDeliver_MadeAgain(t *testing.T) {
	b, e := newWorld(t).bridge(), &fakeEngine{}
	c := NewCourier(b, e)
	put(t, b, file("hello", "web", "/a"), "old")
	set(t, b, "hello", "A", "old")
	before, err := c.Deliver(t.Context(), "hello", needs("/a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Destroy(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	put(t, b, file("hello", "web", "/a"), "new")
	set(t, b, "hello", "A", "new")
	after, err := c.Deliver(t.Context(), "hello", needs("/a"))
	if err != nil {
		t.Fatal(err)
	}
	m := after.Secrets["web"][0]
	if m.Version != 1 || string(e.data[m.Secret]) != "new" || !strings.Contains(string(e.data[after.Config.Secret]), "A=new") {
		t.Errorf("%+v holds %q", m, e.data[m.Secret])
	}
	if changes, err := b.Pending(t.Context(), "hello", needs("/a"), specs(before, "web")); err != nil || len(changes) == 0 {
		t.Errorf("nothing is pending: %v", err)
	}
	if err := NewCourier(b, &fakeEngine{}).Restore(t.Context(), "hello", specs(before, "web")); kind(err) != fault.NotFound {
		t.Errorf("the old release's own: %v", err)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	b, e := w.bridge(), &fakeEngine{}
	c := NewCourier(b, e)
	put(t, b, file("hello", "web", "/a"), "one")
	set(t, b, "hello", "A", "1")
	old, err := c.Deliver(t.Context(), "hello", needs("/a"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, file("hello", "web", "/a"), "two")
	set(t, b, "hello", "A", "2")
	e.secrets = nil
	if err := c.Restore(t.Context(), "hello", specs(old, "web", "worker")); err != nil || e.created != 4 {
		t.Fatalf("%v, %d created", err, e.created)
	}
	if got := string(e.data[old.Secrets["web"][0].Secret]); got != "one" {
		t.Errorf("the old version holds %q", got)
	}
	if got := string(e.data[old.Config.Secret]); !strings.HasSuffix(got, "A=1\x00") {
		t.Errorf("the old config is %q", got)
	}
	w.kill() // what the engine has needs no vault
	if err := c.Restore(t.Context(), "hello", specs(old, "web")); err != nil {
		t.Error(err)
	}
	if _, err := c.Deliver(t.Context(), "hello", needs("/a")); !errors.Is(err, ErrGone) {
		t.Errorf("what is newest does: %v", err)
	}
}

func TestCollect(t *testing.T) {
	b, e := newWorld(t).bridge(), &fakeEngine{used: map[string]bool{}}
	c := NewCourier(b, e)
	var names []string
	for i := range 4 {
		put(t, b, file("hello", "web", "/a"), fmt.Sprint(i))
		d, err := c.Deliver(t.Context(), "hello", needs("/a"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, d.Secrets["web"][0].Secret)
	}
	keep := Keep(lain.Release{Procs: []lain.ProcSpec{{Secrets: []lain.SecretMount{{Secret: names[0]}}, Config: &lain.ConfigMount{Secret: "x"}}}})
	e.used[names[1]] = true
	if removed, err := c.Collect(t.Context(), keep, time.Now()); err != nil || len(removed) != 0 {
		t.Errorf("what is new: %v %v", removed, err)
	}
	later := time.Now().Add(2 * Grace)
	c.handed.at[names[2]] = later // handed out again just now
	if removed, err := c.Collect(t.Context(), keep, later); err != nil || !slices.Equal(removed, names[3:]) {
		t.Errorf("%v %v, want %v", removed, err, names[3:])
	}
	if len(e.secrets) != 3 || !keep["x"] {
		t.Errorf("%d are left", len(e.secrets))
	}
}

func TestPending(t *testing.T) {
	b := newWorld(t).bridge()
	c := NewCourier(b, &fakeEngine{})
	put(t, b, file("hello", "web", "/a"), "1")
	put(t, b, file("hello", "web", "/b"), "1")
	put(t, b, file("hello", lain.EveryProc, "/c"), "1")
	set(t, b, "hello", "SAME", "1", "CHANGED", "1", "REMOVED", "1")
	declared := needs("/a", "/b", "/c")
	d, err := c.Deliver(t.Context(), "hello", declared)
	if err != nil {
		t.Fatal(err)
	}
	serving := specs(d, "web")
	if changes, err := b.Pending(t.Context(), "hello", declared, serving); err != nil || len(changes) != 0 {
		t.Errorf("nothing was written: %+v %v", changes, err)
	}
	put(t, b, file("hello", "web", "/a"), "2")
	put(t, b, file("hello", "web", "/c"), "its own now")
	if _, err := b.RemoveFile(t.Context(), file("hello", "web", "/b")); err != nil {
		t.Fatal(err)
	}
	set(t, b, "hello", "CHANGED", "2", "ADDED", "2")
	if _, err := b.UnsetConfig(t.Context(), "hello", []string{"REMOVED"}, "ann"); err != nil {
		t.Fatal(err)
	}
	changes, err := b.Pending(t.Context(), "hello", declared, serving)
	want := []Change{{Key: "ADDED", To: 3}, {Key: "CHANGED", From: 1, To: 3}, {Key: "REMOVED", From: 1},
		{Proc: "web", Path: "/a", From: 1, To: 2}, {Proc: "web", Path: "/b", From: 1}, {Proc: "web", Path: "/c", From: 1, To: 1}}
	if err != nil || !slices.Equal(changes, want) {
		t.Errorf("%+v %v", changes, err)
	}
	if changes, err := b.Pending(t.Context(), "hello", declared, nil); err != nil || len(changes) != 5 {
		t.Errorf("no release yet: %+v %v", changes, err)
	}
}

func TestValues(t *testing.T) {
	b := newWorld(t).bridge()
	c := NewCourier(b, &fakeEngine{})
	put(t, b, file("hello", "web", "/a"), "file one")
	set(t, b, "hello", "A", "config one")
	d, err := c.Deliver(t.Context(), "hello", needs("/a"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, file("hello", "web", "/a"), "file two")
	put(t, b, file("hello", "web", "/a"), "file three")
	put(t, b, file("hello", lain.EveryProc, "/b"), "other")
	put(t, b, file("hello-2", "web", "/a"), "not hello's")
	set(t, b, "hello", "A", "config two")
	got, err := b.Values(t.Context(), "hello", specs(d, "web"))
	if want := []string{"config one", "config two", "file one", "file three", "other"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
}
