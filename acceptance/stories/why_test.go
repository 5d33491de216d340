//go:build acceptance

package stories

import (
	"strings"
	"testing"
)

// Of what runs in an instance its commit, its pusher, its build, its base and its secrets can be told, also where the image was built
// for another commit, and of an instance that a later release has left as it was.
func TestWhy_SaysWhereItComesFrom(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := webAndWorker(t, tw, "why")
	first := app.Head()
	if r := tw.SSHAs(t, tw.Key, "config set "+app.Name+" COLOUR", strings.NewReader("a colour")); r.Code != 0 {
		t.Fatalf("config set: exit %d\n%s", r.Code, r.All())
	}
	app.Commit("the same files")
	second := app.Head()
	app.MustPush()
	tw.Verb(t, "restart "+app.Name+" worker")
	web := tw.Verb(t, "why "+app.Name+" web.1")
	for _, want := range []string{"web.1 of " + app.Name + ", running for", "by admin", second + " the same files", "for " + first + ", which has the same files",
		"built:    by r-1, ", "tests:    none: ", "base:     lain/testapp:1, sha256:", "image:    " + app.Name + "@sha256:", "config:   version 1"} {
		if !strings.Contains(web, want) {
			t.Errorf("no %q in\n%s", want, web)
		}
	}
	if strings.Contains(web, "a colour") || !strings.Contains(web, "v4 serves, and has it unchanged") {
		t.Errorf("of web, which the restart left as it was:\n%s", web)
	}
	worker := tw.Verb(t, "why "+app.Name+" worker.1")
	if !strings.Contains(worker, "v4, restart, by admin") || strings.Contains(worker, "serves, and has it unchanged") {
		t.Errorf("the worker, which was restarted last:\n%s", worker)
	}
	saysAll(t, tw, []said{
		{"why " + app.Name + " web.9", 66, "has no instance web.9"},
		{"why " + app.Name + " web", 64, "is no instance"},
		{"why no-such-app web.1", 66, "there is no application"},
	})
}
