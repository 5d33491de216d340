package api

import (
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

func TestWhenceForPeople(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	a, b := lain.Commit(strings.Repeat("a", 40)), lain.Commit(strings.Repeat("b", 40))
	o := whence{Instance: "web.1", State: "running", Since: now.Add(-2 * time.Hour), Release: 2, Serving: 2, Why: lain.WhyPush, By: "alice", Created: now, Run: "r-3",
		Commit: commit{ID: a, Author: "A <a@b>", Subject: "one\x1b[2J"}, Tree: "t1", Image: lain.ImageRef{Repository: "hello", Digest: "sha256:1"}}
	built := &builtImage{Run: "r-1", Created: now, Commit: a, Test: "passed in 3s", Bases: []lain.BuildBase{{Name: "lain/golang:1", ID: "sha256:9"}}}
	older := *built
	older.Commit = b
	cases := map[string]struct {
		change func(*whence)
		has    []string
		lacks  []string
	}{
		"as it was pushed":          {func(o *whence) { o.Build = built }, []string{"by r-1, ", "from tree t1", "passed in 3s", "lain/golang:1, sha256:9", "v2, push, by alice"}, []string{"same files", "serves", "not here", "secret", "config", "\x1b"}},
		"built for another commit":  {func(o *whence) { o.Build = &older }, []string{"for " + string(b) + ", which has the same files"}, nil},
		"of an image of elsewhere":  {func(*whence) {}, []string{"not here, or so long ago"}, []string{"tests:", "base:"}},
		"left by a later release":   {func(o *whence) { o.Serving = 5 }, []string{"v5 serves, and has it unchanged"}, nil},
		"with secrets and a config": {func(o *whence) { o.Secrets, o.Config = []lain.SecretMount{{Path: "/lain/app/key", Version: 4}}, 7 }, []string{"/lain/app/key, version 4", "config:   version 7"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := o
			c.change(&o)
			var w strings.Builder
			writeWhence(&w, "hello", o, now)
			for _, want := range c.has {
				if !strings.Contains(w.String(), want) {
					t.Errorf("no %q in\n%s", want, w.String())
				}
			}
			for _, no := range c.lacks {
				if strings.Contains(w.String(), no) {
					t.Errorf("%q in\n%s", no, w.String())
				}
			}
		})
	}
}
