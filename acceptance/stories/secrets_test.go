//go:build acceptance

package stories

import (
	"strings"
	"testing"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// put stores a secret file and fails the test where that fails.
func put(t *testing.T, tw *town.Town, value, words string) string {
	t.Helper()
	r := tw.SSHAs(t, tw.Key, words, strings.NewReader(value))
	if r.Code != 0 {
		t.Fatalf("%s: exit %d\n%s", words, r.Code, r.All())
	}
	return r.All()
}

func TestSecrets_FirstPushNamesAllThatAreMissing(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "needy")
	app.Manifest("", "  secret_files: [conf/one, /etc/two]", "worker:", "  cmd: /bin/testapp -worker", "  secret_files: [conf/one]")
	app.Commit("with secrets")
	refusedAtTheDoor(t, tw, app, app.Push(), "3 secret files are missing", "secret put -p worker "+app.Name)
	put(t, tw, "first", "secret put "+app.Name+" conf/one")
	put(t, tw, "\x00binary\xff", "secret put "+app.Name+" /etc/two --mode 440 --owner 65534:100")
	put(t, tw, "hello there", "config set "+app.Name+" GREETING")
	app.MustPush()
	app.Truth(app.Head(), "one")
	if got := inside(t, tw, app, "/lain/app/conf/one"); got != "first" {
		t.Errorf("conf/one is %q", got)
	}
	if got := inside(t, tw, app, "/etc/two"); got != "\x00binary\xff" {
		t.Errorf("/etc/two is %q", got)
	}
	if got, _ := variable(t, tw, app, "GREETING"); got != "hello there" {
		t.Errorf("GREETING is %q", got)
	}
	mounts := inside(t, tw, app, "/proc/self/mountinfo")
	for _, path := range []string{"/lain/app/conf/one", "/etc/two"} {
		for line := range strings.Lines(mounts) {
			if strings.Contains(line, " "+path+" ") && !strings.Contains(line, " tmpfs ") {
				t.Errorf("%s is not in memory: %s", path, line)
			}
		}
	}
}

func TestSecrets_ChangeUnderLoadRollsOnlyWhoHasThem(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "rotate")
	put(t, tw, "first", "secret put "+app.Name+" conf/key")
	app.Manifest("", "  num_instances: 2", "  secret_files: [conf/key]", "worker:", "  cmd: /bin/testapp -worker")
	app.Commit("with a secret")
	app.MustPush()
	before := tasks(t, tw, app)
	l := app.Load(load.Options{})
	answered(t, l, 200)
	out := put(t, tw, "second", "secret put "+app.Name+" conf/key")
	if strings.Contains(out, "Building") || !strings.Contains(out, "v2 serves") {
		t.Errorf("it said:\n%s", out)
	}
	answered(t, l, 400)
	app.NoneLost(l)
	if got := inside(t, tw, app, "/lain/app/conf/key"); got != "second" {
		t.Errorf("conf/key is %q", got)
	}
	if after := tasks(t, tw, app); after["worker"] != before["worker"] || after["web"] == before["web"] {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestSecrets_StagedOnesWaitForApply(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "staged")
	put(t, tw, "first", "secret put "+app.Name+" conf/key")
	app.Manifest("", "  secret_files: [conf/key]")
	app.Commit("with a secret")
	app.MustPush()
	put(t, tw, "second", "secret put "+app.Name+" conf/key --stage")
	put(t, tw, "A=1\nB='2 3'\n", "config set "+app.Name+" --from-file - --stage")
	tw.Verb(t, "restart "+app.Name)
	if got := inside(t, tw, app, "/lain/app/conf/key"); got != "first" {
		t.Errorf("a restart released what was staged: %q", got)
	}
	tw.Verb(t, "apply "+app.Name)
	if got := inside(t, tw, app, "/lain/app/conf/key"); got != "second" {
		t.Errorf("conf/key is %q", got)
	}
	if got, _ := variable(t, tw, app, "B"); got != "2 3" {
		t.Errorf("B is %q", got)
	}
	if n := len(town.JSON[[]release](t, tw, "releases "+app.Name)); n != 3 {
		t.Errorf("there are %d releases, want the push, the restart and one for all that was staged", n)
	}
}

func TestSecrets_RollbackKeepsTheRotatedOne(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "kept")
	put(t, tw, "old password", "secret put "+app.Name+" conf/key")
	app.Manifest("", "  secret_files: [conf/key]")
	app.Commit("with a secret")
	app.MustPush()
	app.Change("two")
	app.MustPush()
	put(t, tw, "new password", "secret put "+app.Name+" conf/key")
	tw.Verb(t, "rollback "+app.Name+" v1")
	app.Serves("one")
	if got := inside(t, tw, app, "/lain/app/conf/key"); got != "new password" {
		t.Errorf("the rollback brought %q", got)
	}
	tw.Verb(t, "rollback "+app.Name+" v1 --with-secrets")
	if got := inside(t, tw, app, "/lain/app/conf/key"); got != "old password" {
		t.Errorf("--with-secrets brought %q", got)
	}
}

func TestSecrets_GoWithTheirApplication(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "gone")
	put(t, tw, "secret", "secret put "+app.Name+" conf/key")
	app.Manifest("", "  secret_files: [conf/key]")
	app.Commit("with a secret")
	app.MustPush()
	tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name)
	out, err := tw.Lab.Docker(t.Context(), "n1", "secret", "ls", "--filter", "label=lain.app="+app.Name, "-q")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("the engine still has secrets: %q (%v)", out, err)
	}
	if r := tw.SSH(t, "secret list "+app.Name); r.Code != 66 {
		t.Errorf("secret list: exit %d\n%s", r.Code, r.All())
	}
	app.Push().Refused(t, "a secret file is missing")
}
