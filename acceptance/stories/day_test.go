//go:build acceptance

package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// desk is where a developer works: git, and one way to give verbs to the server.
type desk struct {
	t   *testing.T
	app *town.App
	// verb gives the verb of that name about the application, with what it shall read.
	verb func(stdin, name string, rest ...string) town.Result
}

// does gives a verb that must succeed, and say all of wants.
func (d desk) does(stdin, name string, rest []string, wants ...string) {
	d.t.Helper()
	r := d.verb(stdin, name, rest...)
	if r.Code != 0 {
		d.t.Fatalf("%s %q: exit %d\n%s", name, rest, r.Code, r.All())
	}
	for _, want := range wants {
		if !strings.Contains(r.All(), want) {
			d.t.Errorf("%s %q does not say %q:\n%s", name, rest, want, r.All())
		}
	}
}

func TestADayInTheLife_WithGitAndSSH(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "day")
	tw.Verb(t, "apps create "+app.Name)
	aDay(desk{t, app, func(stdin, name string, rest ...string) town.Result {
		words := append(strings.Fields(name), app.Name)
		return tw.SSHAs(t, tw.Key, strings.Join(append(words, rest...), " "), strings.NewReader(stdin))
	}})
}

func TestADayInTheLife_WithTheClient(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "lainday")
	app.Git("remote", "remove", "lain")
	host := fmt.Sprintf("ssh://lain@%s:%d", tw.IP(), town.SSHPort)
	if r := app.Client(t, "", "create", "--host", host); r.Code != 0 || !strings.Contains(r.All(), "git push lain main") {
		t.Fatalf("create: exit %d\n%s", r.Code, r.All())
	}
	aDay(desk{t, app, func(stdin, name string, rest ...string) town.Result {
		return app.Client(t, stdin, append(strings.Fields(name), rest...)...)
	}})
}

// aDay is a developer's first day with an application that is made already: a push fails, they read why and mend it,
// add a secret and a value, make it larger, look at logs and into an instance, go back, and ask who did what: docs/first-day.md.
func aDay(d desk) {
	d.t.Helper()
	d.failsAndIsMended()
	d.getsSecrets()
	d.isLookedAt()
	d.goesBack()
}

func (d desk) failsAndIsMended() {
	d.t.Helper()
	script(d.t, d.app, "echo compiling", "echo 'main.c:3: missing semicolon' >&2; exit 1")
	d.app.Commit("with a mistake")
	d.app.Push().Refused(d.t, "build", "missing semicolon")
	d.does("", "runs", nil, "r-1", "failed")
	if r := d.verb("", "runs attach", "r-1"); r.Code != 1 || !strings.Contains(r.All(), "main.c:3: missing semicolon") { // it ends as the run did
		d.t.Errorf("runs attach r-1: exit %d\n%s", r.Code, r.All())
	}
	d.app.Manifest("")
	d.app.Commit("mended")
	d.app.MustPush()
	d.app.Truth(d.app.Head(), "one")
	d.does("", "info", nil, "http://"+d.app.Host()+"/")
}

func (d desk) getsSecrets() {
	d.t.Helper()
	d.app.Manifest("", "  secret_files: [conf/key]")
	d.app.Commit("with a secret")
	d.app.Push().Refused(d.t, "conf/key", "secret put")
	d.does("s3cret", "secret put", []string{"conf/key"}, "conf/key")
	d.does("", "secret list", nil, "conf/key")
	d.app.MustPush()
	d.does("good morning", "config set", []string{"GREETING"}, "serves")
	tw := shared(d.t)
	if got := inside(d.t, tw, d.app, "/lain/app/conf/key"); got != "s3cret" {
		d.t.Errorf("the secret is %q", got)
	}
	if got, _ := variable(d.t, tw, d.app, "GREETING"); got != "good morning" {
		d.t.Errorf("the value is %q", got)
	}
}

func (d desk) isLookedAt() {
	d.t.Helper()
	d.does("", "scale", []string{"web=2"}, "serves")
	d.does("", "ps", nil, "web.1", "web.2", "running")
	d.does("", "logs", []string{"-p", "web", "-n", "20"}, "web.1: ", "web.2: ")
	d.does("", "enter", []string{"web.2", "--", "cat", "/lain/app/VERSION"}, "one\n")
	d.does("", "run", []string{"--", "cat", "/lain/app/VERSION"}, "one\n")
	d.app.Eventually("events tells of web.2", time.Minute, func() error {
		if r := d.verb("", "events"); r.Code != 0 || !strings.Contains(r.All(), "web.2 of v") {
			return fmt.Errorf("exit %d\n%s", r.Code, r.All())
		}
		return nil
	})
}

func (d desk) goesBack() {
	d.t.Helper()
	good := d.app.Head()
	bad := d.app.Change("bad")
	d.app.MustPush()
	d.app.Truth(bad, "bad")
	releases := town.JSON[[]release](d.t, shared(d.t), "releases "+d.app.Name)
	before := slices.IndexFunc(releases, func(r release) bool { return r.Commit == good })
	if before < 0 {
		d.t.Fatalf("no release of %s in %+v", good, releases)
	}
	d.does("", "diff", []string{fmt.Sprintf("v%d", releases[before].Number), fmt.Sprintf("v%d", releases[0].Number)}, bad[:7])
	d.does("", "rollback", nil, good[:7])
	d.app.Truth(good, "one")
	d.does("", "releases", nil, "admin", "serving", "rollback")
	d.does("", "activity", []string{"-n", "0"}, "admin", "push", "rollback", "secret put", "enter", "run")
}
