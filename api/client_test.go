package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"lain.internal/lain/lain/verbs"
)

// The client's table must say of each verb what help --json says.
func TestTheClientKnowsTheVerbs(t *testing.T) {
	code, out, _ := newRig(t).do("help", "--json")
	if code != 0 {
		t.Fatalf("help --json ended with %d", code)
	}
	var all []verbInfo
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	var want []verbs.Verb
	for _, v := range all {
		named := strings.HasPrefix(v.Args, "APP") && v.Name != "apps create"
		want = append(want, verbs.Verb{Name: v.Name, App: named, Asks: v.Name == "config set", Term: v.Name == "enter" || v.Name == "run"})
	}
	if !slices.Equal(want, verbs.Table) {
		t.Errorf("lain/verbs has not what the server has; it should be\n%+v\nand is\n%+v", want, verbs.Table)
	}
}

// The client takes its own flags out wherever they stand, and has commands of its own.
func TestTheClientsOwnWordsAreFree(t *testing.T) {
	for _, v := range newRig(t).api.verbs {
		flags := newFlags(v, &call{})
		flags.VisitAll(func(f *pflag.Flag) {
			if slices.Contains(verbs.Flags, f.Name) || slices.Contains(verbs.Shorthands, f.Shorthand) {
				t.Errorf("%s has the flag --%s (-%s), which the client takes for itself", v.name, f.Name, f.Shorthand)
			}
		})
		if word := strings.Fields(v.name)[0]; slices.Contains(verbs.Own, word) && !slices.Contains(verbs.Shared, v.name) {
			t.Errorf("the client has a command %s of its own, so it never asks for %s", word, v.name)
		}
	}
}
