package vaultbridge

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

func kind(err error) fault.Kind {
	if err == nil {
		return ""
	}
	return fault.Of(err).Kind
}

func TestFile_RoundTrip(t *testing.T) {
	b := newWorld(t).bridge()
	large := make([]byte, MaxFile)
	_, _ = rand.Read(large)
	for name, value := range map[string][]byte{
		"text": []byte("hello\n"), "empty": {}, "binary": {0, 0xff, 0xfe, '\n', 0}, "largest": large,
	} {
		ref := file("hello", "web", lain.SecretPath("/etc/"+name))
		v, err := b.PutFile(t.Context(), ref, File{Value: value, UID: 1000, GID: 50, Mode: 0o440}, "ann")
		if err != nil || v.Number != 1 || v.By != "ann" || v.At.IsZero() || !v.Live() {
			t.Fatalf("%s: %+v %v", name, v, err)
		}
		f, got, err := b.GetFile(t.Context(), ref, 0)
		if err != nil || !bytes.Equal(f.Value, value) || f.UID != 1000 || f.GID != 50 || f.Mode != 0o440 || got != v {
			t.Errorf("%s: %d bytes, %+v, not %+v: %v", name, len(f.Value), got, v, err)
		}
	}
	list, err := b.ListFiles(t.Context(), "hello")
	if err != nil || len(list) != 4 || list[0].Path != "/etc/binary" || list[0].Scope != "web" || list[0].Version.Number != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestFile_Refusals(t *testing.T) {
	b := newWorld(t).bridge()
	good := file("hello", "web", "/a")
	for name, c := range map[string]struct {
		ref FileRef
		f   File
	}{
		"too large":        {good, File{Value: make([]byte, MaxFile+1)}},
		"a mode of 5":      {good, File{Mode: 0o4755}},
		"an owner below 0": {good, File{UID: -1}},
		"no app":           {file("", "web", "/a"), File{}},
		"an app with /":    {file("hello/web", "web", "/a"), File{}},
		"an app with *":    {file("*", "web", "/a"), File{}},
		"an app with ..":   {file("..", "web", "/a"), File{}},
		"no scope":         {file("hello", "", "/a"), File{}},
		"a scope with /":   {file("hello", "../other", "/a"), File{}},
		"a relative path":  {file("hello", "web", "a"), File{}},
		"a path with ..":   {file("hello", "web", "/a/../b"), File{}},
		"the config's":     {file("hello", "web", "/lain/config"), File{}},
		"a folder":         {file("hello", "web", "/a/"), File{}},
	} {
		if _, err := b.PutFile(t.Context(), c.ref, c.f, "ann"); kind(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := b.ListFiles(t.Context(), "hello"); err != nil || len(list) != 0 {
		t.Errorf("something was written: %v %v", list, err)
	}
}

// Whatever a path holds, it is an entry of its own and comes back as it was.
func TestFile_HostilePaths(t *testing.T) {
	b := newWorld(t).bridge()
	paths := []lain.SecretPath{"/a", "/a ", "/A", "/%2e%2e", "/a?version=1", "/a#b", "/*", "/+", "/a/b", "/ö/ü", "/'; rm -rf",
		"/{{.Task.Slot}}", "/" + lain.SecretPath(strings.Repeat("x", lain.MaxSecretPath-1)), "/-", `/"quoted"`, "/\\"}
	for _, p := range paths {
		put(t, b, file("hello", lain.EveryProc, p), "value of "+string(p))
	}
	for _, p := range paths {
		f, v, err := b.GetFile(t.Context(), file("hello", lain.EveryProc, p), 0)
		if err != nil || string(f.Value) != "value of "+string(p) || v.Number != 1 {
			t.Errorf("%q: %q %+v %v", p, f.Value, v, err)
		}
	}
	list, err := b.ListFiles(t.Context(), "hello")
	if err != nil || len(list) != len(paths) {
		t.Fatalf("%d of %d: %v", len(list), len(paths), err)
	}
	for _, f := range list {
		if err := f.Path.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestFile_HistoryRollbackRemove(t *testing.T) {
	b := newWorld(t).bridge()
	ref := file("hello", "web", "/etc/key")
	if _, err := b.FileHistory(t.Context(), ref); kind(err) != fault.NotFound || !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	put(t, b, ref, "one")
	put(t, b, ref, "two")
	v, err := b.RollbackFile(t.Context(), ref, 1, "bob")
	if err != nil || v.Number != 3 {
		t.Fatalf("%+v %v", v, err)
	}
	if f, _, err := b.GetFile(t.Context(), ref, 0); err != nil || string(f.Value) != "one" || f.Mode != DefaultMode {
		t.Errorf("%+v %v", f, err)
	}
	if f, _, err := b.GetFile(t.Context(), ref, 2); err != nil || string(f.Value) != "two" {
		t.Errorf("%+v %v", f, err)
	}
	if v, err = b.RemoveFile(t.Context(), ref); err != nil || v.Number != 3 {
		t.Errorf("%+v %v", v, err)
	}
	if _, _, err := b.GetFile(t.Context(), ref, 0); kind(err) != fault.NotFound || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("removed: %v", err)
	}
	if _, err := b.RemoveFile(t.Context(), ref); kind(err) != fault.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	history, err := b.FileHistory(t.Context(), ref)
	if err != nil || len(history) != 3 || history[0].Live() || history[0].Number != 3 || history[1].By != "ann" || history[2].Number != 1 {
		t.Errorf("%+v %v", history, err)
	}
	if v, err := b.RollbackFile(t.Context(), ref, 3, "bob"); err != nil || v.Number != 4 {
		t.Errorf("bring it back: %+v %v", v, err)
	}
	if f, v, err := b.GetFile(t.Context(), ref, 0); err != nil || string(f.Value) != "one" || v.By != "bob" {
		t.Errorf("%+v %+v %v", f, v, err)
	}
	if _, err := b.RollbackFile(t.Context(), ref, 99, "bob"); kind(err) != fault.NotFound {
		t.Errorf("to what never was: %v", err)
	}
}

func TestFile_OldVersionsGo(t *testing.T) {
	b := newWorld(t).bridge()
	ref := file("hello", "web", "/etc/key")
	for i := range keptVersions + 2 {
		put(t, b, ref, fmt.Sprint(i))
	}
	history, err := b.FileHistory(t.Context(), ref)
	if err != nil || len(history) != keptVersions || history[0].Number != keptVersions+2 {
		t.Errorf("%d versions: %v", len(history), err)
	}
	if _, err := b.RollbackFile(t.Context(), ref, 1, "bob"); kind(err) != fault.NotFound {
		t.Errorf("to one that is gone: %v", err)
	}
}

// Of two who saw the same version, one writes and the other is told.
func TestFile_TwoWriters(t *testing.T) {
	b := newWorld(t).bridge()
	ref := file("hello", "web", "/etc/key")
	put(t, b, ref, "one")
	p, _ := b.place(ref)
	results := make([]error, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			_, results[i] = b.putFile(t.Context(), p, ref.Path, 1, File{Value: []byte{byte(i)}, Mode: DefaultMode}, "ann")
		})
	}
	group.Wait()
	f, v, err := b.GetFile(t.Context(), ref, 0)
	if err != nil || v.Number != 2 {
		t.Fatalf("version %d: %v", v.Number, err)
	}
	won := 0
	for i, err := range results {
		switch {
		case err == nil && bytes.Equal(f.Value, []byte{byte(i)}):
			won++
		case kind(err) != fault.Conflict || !errors.Is(err, ErrConflict) || Unsettled(err):
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, len(results))
	}
}

// A server that died between an entry and its first version leaves nothing that counts.
func TestFile_BegunAndNotWritten(t *testing.T) {
	b := newWorld(t).bridge()
	ref := file("hello", "web", "/etc/key")
	p, _ := b.place(ref)
	if err := b.prepare(t.Context(), p, map[string]string{pathKey: "/etc/key"}); err != nil {
		t.Fatal(err)
	}
	if list, err := b.ListFiles(t.Context(), "hello"); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := NewCourier(b, &fakeEngine{}).Deliver(t.Context(), "hello", needs("/etc/key")); kind(err) != fault.Invalid {
		t.Errorf("delivered: %v", err)
	}
	if v := put(t, b, ref, "one"); v.Number != 1 {
		t.Errorf("the first version is %d", v.Number)
	}
}

// A removal meant for what somebody saw takes nothing newer away.
func TestFile_RemoveLeavesANewerOne(t *testing.T) {
	b := newWorld(t).bridge()
	ref := file("hello", "web", "/etc/key")
	put(t, b, ref, "one")
	put(t, b, ref, "two")
	p, _ := b.place(ref)
	if err := b.remove(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	if f, _, err := b.GetFile(t.Context(), ref, 0); err != nil || string(f.Value) != "two" {
		t.Errorf("%q %v", f.Value, err)
	}
}

func TestDestroy(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	put(t, b, file("hello", "web", "/a"), "x")
	put(t, b, file("hello", lain.EveryProc, "/b"), "x")
	put(t, b, file("hello-2", "web", "/a"), "other")
	set(t, b, "hello", "A", "1")
	c := NewCourier(b, &fakeEngine{})
	if _, err := c.Deliver(t.Context(), "hello", []Need{{Proc: "web", Files: []lain.SecretPath{"/a"}}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Destroy(t.Context(), "hello"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.ListFiles(t.Context(), "hello")
	keys, v, err2 := b.ConfigKeys(t.Context(), "hello")
	if err := errors.Join(err, err2); err != nil || len(list) != 0 || len(keys) != 0 || v.Number != 0 {
		t.Errorf("left: %v %v %v", list, keys, err)
	}
	for _, path := range []string{"sys/policies/acl/lain-c1-hello", "auth/approle/role/lain-c1-hello"} {
		if s, err := w.root.Logical().ReadWithContext(t.Context(), path); s != nil || err != nil {
			t.Errorf("%s is left: %v %v", path, s, err)
		}
	}
	if f, _, err := b.GetFile(t.Context(), file("hello-2", "web", "/a"), 0); err != nil || string(f.Value) != "other" {
		t.Errorf("the other application: %q %v", f.Value, err)
	}
}
