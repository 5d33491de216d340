package vaultbridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

// A build gets the newest version of every proc's file, under a name that tells versions apart and holds no value; the
// engine gets nothing.
func TestBuild(t *testing.T) {
	w := newWorld(t)
	b, e := w.bridge(), &fakeEngine{}
	c := NewCourier(b, e)
	paths := []lain.SecretPath{lain.BuildSecretPath("token"), lain.BuildSecretPath("key")}
	var missing *MissingError
	if _, err := c.Build(t.Context(), "hello", paths); !errors.As(err, &missing) || len(missing.Files) != 2 ||
		!strings.Contains(err.Error(), "/run/secrets/key of the build") || missing.Files[1].Command("hello") != "ssh lain secret put hello /run/secrets/token < FILE" {
		t.Fatalf("%v", err)
	}
	put(t, b, file("hello", lain.EveryProc, paths[0]), "old")
	put(t, b, file("hello", lain.EveryProc, paths[1]), "other")
	first, err := c.Build(t.Context(), "hello", paths)
	if err != nil || len(first) != 2 || string(first[1].Value) != "old" {
		t.Fatalf("%v, %v", first, err)
	}
	put(t, b, file("hello", lain.EveryProc, paths[0]), "new")
	next, err := c.Build(t.Context(), "hello", paths)
	if err != nil || string(next[1].Value) != "new" || next[1].Version == first[1].Version || next[0].Version != first[0].Version {
		t.Errorf("%v, then %v, %v", first, next, err)
	}
	if said := fmt.Sprintf("%v %+v %#v", next, next, next); strings.Contains(said, "other") || e.created != 0 {
		t.Errorf("it says %s, and %d were given to the engine", said, e.created)
	}
}
