//go:build acceptance

package stories

import (
	"strings"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// Whatever is wrong with a commit: the push fails and says why, nothing has changed, and the commit that puts
// it right is pushed as if nothing had been.
func TestACommitThatFails(t *testing.T) {
	t.Parallel()
	app, good := serving(t, "broken")
	tw := shared(t)
	for _, c := range []struct {
		name   string
		flags  string   // of the test application
		keys   []string // of its section in lain.yaml
		script []string
		test   string
		reason string   // in git's status line
		causes []string // in the output
	}{
		{name: "the build", script: []string{"echo nearly there", "echo no such header >&2; exit 7"},
			reason: "build.script[1] failed with exit code 7: ( echo no such header",
			causes: []string{"nearly there", "no such header", "lain.yaml:"}},
		{name: "the test", test: "echo 3 of 4 are wrong; exit 9",
			reason: "failed with exit code 9: ( echo 3 of 4 are wrong", causes: []string{"-----> Testing", "3 of 4 are wrong"}},
		{name: "a command that is not there", script: []string{"makefoo all"},
			reason: "failed with exit code 127: ( makefoo all", causes: []string{"is it in the image lain/testapp:1?"}},
		{name: "a start that crashes", flags: "-crash",
			reason: "web ended with exit code 3", causes: []string{"testapp: crashing as told", "exit code 3", "Returning to v1"}},
		{name: "a crash after it was healthy for a moment", flags: "-crash-after 1s",
			reason: "web ended with exit code 3", causes: []string{"listens on port 8080", "testapp: crashing as told", "Returning to v1"}},
		{name: "a start that never gets healthy", flags: "-unhealthy", keys: []string{"  health: {deadline: 5s}"},
			reason: "web is not healthy after 5s", causes: []string{"listens on port 8080", "the last probe of web", "500", "Returning to v1"}},
		{name: "another port than it says", flags: "-wrong-port", keys: []string{"  health: {deadline: 5s}"},
			reason: "web is not healthy after 5s", causes: []string{"nothing listens on port 8080"}},
		{name: "more memory than it may have", flags: "-oom", keys: []string{"  memory: 16m"},
			reason: "web used more than its 16MiB of memory and was killed",
			causes: []string{"eating memory as told", "out of memory at 16 MiB", "memory: 16MiB is the limit; raise it"}},
		{name: "a program that is not in the image", flags: "-nonsense",
			reason: "web ended with exit code 2", causes: []string{"flag provided but not defined: -nonsense"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			app.Manifest(c.flags, c.keys...)
			if c.script != nil {
				script(t, app, c.script...)
			}
			if c.test != "" {
				section(t, app, "web:", "test:\n  script: "+list([]string{c.test})+"\nweb:")
			}
			bad := app.Change("bad " + c.name)
			r := app.Push()
			r.Refused(t, c.reason, c.causes...)
			r.Refused(t, "v1 still serves")
			app.Truth(good, "one")
			if last := newestRun(t, tw, app); last.State != "failed" || last.Commit != bad || !strings.Contains(last.Reason, c.reason) {
				t.Errorf("the run is recorded as %+v", last)
			}
		})
	}
	app.Manifest("")
	commit := app.Change("right")
	app.MustPush()
	app.Truth(commit, "right")
	all := town.JSON[[]release](t, tw, "releases "+app.Name)
	for i, r := range all {
		if r.Commit != good && r.Commit != commit && (r.Status != "failed" || all[i-1].Why != "return" || all[i-1].From != 1 || all[i-1].Run != r.Run) {
			t.Errorf("v%d, which failed, is recorded as %s, and what followed it as %+v", r.Number, r.Status, all[i-1])
		}
	}
	if r := tw.SSH(t, "rollback "+app.Name); r.Code != 0 || !strings.Contains(r.Stdout, "rollback of "+app.Name+" to v1") {
		t.Errorf("rollback: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(good, "one")
}

// A first push that is refused before there is a run leaves nothing, and the next one is a first push again.
func TestALainYamlThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "badyaml")
	manifest := func(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
	name := "appname: " + app.Name
	build := "build: {base: 'lain/testapp:1', script: [echo building]}"
	web := "web: {cmd: /bin/testapp, port: 8080}"
	for _, c := range []struct {
		name, yaml string
		reason     string
		cause      string
	}{
		{"no YAML", manifest(name, "build: [", web), "lain.yaml:", ">>> "},
		{"a tab", manifest(name, build, "web:", "\tport: 8080"), "lain.yaml:4: ", ">>> 4 | "},
		{"no base", manifest(name, "build: {script: [echo]}", web), "lain.yaml:2: ", ">>> 2 | build:"},
		{"a word for a number", manifest(name, build, "web:", "  cmd: /bin/testapp", "  port: http"), "lain.yaml:5: ", ">>> 5 |   port: http"},
		{"another application's name", manifest("appname: other", build, web),
			`lain.yaml:1: appname is "other" but the push goes to "` + app.Name + `"`, "Change appname, or the remote's URL"},
		{"no proc", manifest(name, build), "no proc is declared", "web:"},
		{"a worker that wants to be reached", manifest(name, build, "web.api: {cmd: /bin/testapp, port: 8080}"), "lain.yaml:3: ", "mountpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			app.Write("lain.yaml", c.yaml)
			app.Commit(c.name)
			refusedAtTheDoor(t, tw, app, app.Push(), c.reason, c.cause)
		})
	}
	t.Run("none", func(t *testing.T) {
		app.Git("rm", "-q", "lain.yaml")
		app.Commit("no lain.yaml")
		refusedAtTheDoor(t, tw, app, app.Push(), "has no lain.yaml at its root", "The smallest one:")
	})
	app.Manifest("")
	commit := app.Commit("right")
	app.MustPush()
	app.Truth(commit, "one")
	if last := newestRun(t, tw, app); last.Number != 1 || last.Release != 1 {
		t.Errorf("the push after the refused ones is %s and v%d, want r-1 and v1", last.id(), last.Release)
	}
}

// The same refusals beside an application that serves leave it as it is, without a run.
func TestALainYamlThatBreaks_KeepsWhatServes(t *testing.T) {
	t.Parallel()
	app, good := serving(t, "breaks")
	app.Write("lain.yaml", "appname: "+app.Name+"\nbuild: {base: 7\n")
	app.Change("two")
	app.Push().Refused(t, "lain.yaml:2: ")
	app.Truth(good, "one")
	if last := newestRun(t, shared(t), app); last.Number != 1 {
		t.Errorf("the refused push became %s", last.id())
	}
}

func TestKeysWithoutEffect_AreWarnedOf(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "warned")
	app.Manifest("", "  heathcheck: /x", "  labels: ['team:web']", "cron.nightly: {cmd: /bin/true, schedule: '0 3 * * *'}")
	commit := app.Commit("keys")
	r := app.MustPush()
	for _, want := range []string{
		"lain.yaml:9: web has no key heathcheck, so it is ignored: did you mean healthcheck?",
		"lain.yaml:10: labels is not served yet and is ignored",
		"lain.yaml:11: cron.nightly is not served yet: it will never run",
	} {
		if !strings.Contains(r.Stderr, " !     "+want) {
			t.Errorf("the push does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(r.Stderr)
	}
	app.Truth(commit, "one")
}

func TestRefsThatDoNotDeploy(t *testing.T) {
	t.Parallel()
	app, good := serving(t, "refs")
	next := app.Change("two")
	app.Git("branch", "feature")
	app.Git("tag", "light")
	app.Git("tag", "-a", "-m", "a release", "heavy")

	app.Push("lain", "feature").Refused(t, "only main deploys; to deploy this branch: git push lain feature:main")
	app.Push("lain", ":main").Refused(t, "main is what deploys and can't be deleted", "destroy "+app.Name+" --confirm "+app.Name)
	app.Push("lain", "heavy:main").Refused(t, "a tag can't be deployed, only a commit", "git push lain TAG^{commit}:main")
	app.Push("lain", "main:refs/notes/x").Refused(t, "only the branch main and tags are taken")
	app.Push("--atomic", "lain", "main", "light").Refused(t, "an atomic push can't join main with other refs; push main alone")
	app.Push("--atomic", "lain", "main", "feature").Refused(t, "an atomic push can't join main with other refs; push main alone")
	app.Push("-o", "detatch", "lain", "main").Refused(t, `push option "detatch" is not known; there are: detach, build-only, supersede`)
	app.Truth(good, "one")
	if last := newestRun(t, shared(t), app); last.Number != 1 {
		t.Errorf("one of the refused pushes became %s", last.id())
	}
	if refs := app.Git("ls-remote", "lain"); strings.Contains(refs, "feature") || strings.Contains(refs, "refs/tags") {
		t.Errorf("one of the refused pushes left a ref:\n%s", refs)
	}

	r := app.Push("lain", "main", "feature", "heavy")
	r.Refused(t, "feature -> feature (only main deploys")
	if strings.Contains(r.Stderr, "[remote rejected] main") || !strings.Contains(r.Stderr, "[new tag]") {
		t.Errorf("a branch beside them kept main or a tag away:\n%s", r.Stderr)
	}
	app.Truth(next, "two")
	app.MustPush("lain", "heavy^{commit}:main") // what the refusal of the tag said
	app.MustPush("lain", "light", ":heavy")
	if refs := app.Git("ls-remote", "lain"); !strings.Contains(refs, "refs/tags/light") || strings.Contains(refs, "refs/tags/heavy") {
		t.Errorf("tags are not moved as they were pushed:\n%s", refs)
	}
	app.Truth(next, "two")
}

func TestATagAlone_MakesNoApp(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "tagalone")
	app.Git("tag", "v1")
	refusedAtTheDoor(t, tw, app, app.Push("lain", "v1"), "a tag alone makes no application; push main first")
	app.Git("branch", "feature")
	refusedAtTheDoor(t, tw, app, app.Push("lain", "feature"), "only main deploys; to deploy this branch: git push lain feature:main")
	refusedAtTheDoor(t, tw, app, app.Push("-o", "now", "lain", "main"), `push option "now" is not known`)
	refusedAtTheDoor(t, tw, app, app.Push("--atomic", "lain", "main", "v1"), "an atomic push can't join main with other refs")
	app.MustPush("lain", "main", "v1")
	app.Truth(app.Head(), "one")
}

// A history that was rewritten serves when its pusher says so, and the release notes it.
func TestAForcedPush_IsTaken(t *testing.T) {
	t.Parallel()
	app, first := serving(t, "forced")
	app.Git("commit", "-q", "--amend", "-m", "one, said better")
	if r := app.Push(); r.Code != 1 || !strings.Contains(r.Stderr, "non-fast-forward") {
		t.Errorf("without force: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(first, "one")
	r := app.MustPush("--force", "lain", "main")
	if !strings.Contains(r.Stderr, "(forced update)") {
		t.Errorf("git does not say that it was forced:\n%s", r.Stderr)
	}
	if v2 := town.JSON[[]release](t, shared(t), "releases "+app.Name)[0]; !v2.Forced {
		t.Errorf("the release does not note that it was forced: %+v", v2)
	}
	app.Truth(app.Head(), "one")
}

// A first push whose program fails is kept as a run that can be looked at; the next push is not in its way.
func TestAFirstPushThatFails_CanBeLookedAt(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "firstfails")
	app.Manifest("-crash")
	app.Commit("crash")
	r := app.Push()
	r.Refused(t, "web ended with exit code 3", "testapp: crashing as told")
	r.Refused(t, "nothing serves yet")
	if got := app.RemoteMain(); got != "" {
		t.Errorf("main names %s", got)
	}
	if code, _, err := tw.Get(app.Host(), "/"); err != nil || code != 404 {
		t.Errorf("its host answers %d, %v; want 404", code, err)
	}
	again := tw.SSH(t, "runs attach "+app.Name+" r-1")
	if again.Code != 1 || !strings.Contains(again.Stdout, "testapp: crashing as told") {
		t.Errorf("runs attach: exit %d\n%s", again.Code, again.All())
	}
	last := newestRun(t, tw, app)
	if len(last.Failures) != 1 || last.Failures[0].ExitCode == nil || *last.Failures[0].ExitCode != 3 || len(last.Failures[0].LogTail) == 0 {
		t.Errorf("the run keeps no evidence: %+v", last.Failures)
	}
	app.Manifest("")
	commit := app.Commit("fixed")
	app.MustPush()
	app.Truth(commit, "one")
}
