//go:build acceptance

package stories

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// keeper is who makes the backups of a town.
type keeper struct {
	t          *testing.T
	tw         *town.Town
	passphrase string
}

func newKeeper(t *testing.T, tw *town.Town) *keeper {
	t.Helper()
	k := &keeper{t: t, tw: tw, passphrase: filepath.Join(t.TempDir(), "passphrase")}
	must(t, os.WriteFile(k.passphrase, []byte("the words that open it\n"), 0o600))
	return k
}

// laind runs a verb of the server's program on its machine.
func (k *keeper) laind(env []string, args ...string) (string, error) {
	argv := append([]string{"env"}, env...)
	argv = append(argv, town.Bin("laind-failpoint"), args[0], "--data", k.tw.Data(), "--run", k.tw.RunDir(), "--passphrase-file", k.passphrase)
	return k.tw.Exec(k.t.Context(), append(argv, args[1:]...)...)
}

func (k *keeper) mustLaind(args ...string) string {
	k.t.Helper()
	out, err := k.laind(nil, args...)
	if err != nil {
		k.t.Fatalf("laind %v: %v\n%s", args, err, out)
	}
	return out
}

// Everything is lost, the swarm too, and comes back from one file: the same release serves, main names the same
// commit, and the next push goes through.
func TestBackupDestroyEverythingRestore(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	k := newKeeper(t, tw)
	app := tw.NewApp(t, "phoenix")
	app.MustPush()
	commit := app.Change("two")
	app.MustPush()
	app.Git("tag", "-a", "-m", "kept", "mark")
	app.MustPush("lain", "mark")
	hostKey, err := os.ReadFile(filepath.Join(tw.Data(), "ssh", "ssh_host_ed25519_key"))
	must(t, err)

	file := filepath.Join(t.TempDir(), "lain.age")
	k.whileItServes(app, file)
	k.lose(app)

	t.Log(k.mustLaind("restore", file))
	must(t, tw.Start(t.Context()))
	comesBack(t, app, commit, "two")
	if now, err := os.ReadFile(filepath.Join(tw.Data(), "ssh", "ssh_host_ed25519_key")); err != nil || string(now) != string(hostKey) {
		t.Errorf("the host key is another one, %v", err)
	}
	if refs := app.Git("ls-remote", "lain"); !strings.Contains(refs, "refs/tags/mark") || !strings.Contains(refs, "refs/releases/v2") {
		t.Errorf("the server knows\n%s", refs)
	}
	if runs, err := app.Runs(); err != nil || len(runs) != 2 {
		t.Errorf("runs %+v, %v", runs, err)
	}
	next := app.Change("three")
	app.MustPush()
	app.Truth(next, "three")
}

// whileItServes backs up a server that works.
func (k *keeper) whileItServes(app *town.App, file string) {
	k.t.Helper()
	var sum struct {
		Cluster  string
		Apps     int
		Records  int
		Revision int64
		Size     int64
	}
	must(k.t, json.Unmarshal([]byte(k.mustLaind("backup", file, "--json")), &sum))
	info, err := os.Stat(file)
	must(k.t, err)
	if sum.Cluster != "lain" || sum.Apps != 1 || sum.Records == 0 || sum.Revision == 0 || sum.Size != info.Size() || info.Mode().Perm() != 0o600 {
		k.t.Errorf("%+v, %v", sum, info.Mode())
	}
	if _, err := os.Stat(file + ".tmp"); err == nil {
		k.t.Error("a temporary file is left")
	}
	app.Serves("two")
}

// lose takes away the server, what it made, its data and the swarm.
func (k *keeper) lose(app *town.App) {
	k.t.Helper()
	ctx := k.t.Context()
	must(k.t, k.tw.Stop())
	if out, err := k.tw.Exec(ctx, town.Bin("laind-failpoint"), "down", "--data", k.tw.Data(), "--run", k.tw.RunDir()); err != nil {
		k.t.Fatalf("down: %v\n%s", err, out)
	}
	must(k.t, os.RemoveAll(k.tw.Data()))
	_, err := k.tw.Lab.Docker(ctx, "n1", "swarm", "leave", "--force")
	must(k.t, err)
	app.Eventually("the containers are gone", time.Minute, func() error {
		out, err := k.tw.Lab.Docker(ctx, "n1", "ps", "-aq", "--filter", "label=lain.app")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("containers %s", out)
		}
		return err
	})
	_, err = k.tw.Lab.Docker(ctx, "n1", "image", "prune", "-af", "--filter", "label=lain.app="+app.Name)
	must(k.t, err)
	if _, err := app.Version(); err == nil {
		k.t.Fatal("it still serves: nothing was lost")
	}
}

// A restore that dies leaves the data folder that was, or the one that is to be, and the next one works.
func TestRestoreDiesAtItsWrites(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	k := newKeeper(t, tw)
	app := tw.NewApp(t, "twice")
	app.MustPush()
	good := app.Head()
	file := filepath.Join(t.TempDir(), "lain.age")
	k.mustLaind("backup", file)
	app.Change("two")
	app.MustPush()
	must(t, tw.Stop())
	if out, err := k.laind(nil, "restore", "--force", file); err == nil || !strings.Contains(out, "still works in") {
		t.Errorf("a restore below a router that runs: %v\n%s", err, out)
	}
	if out, err := tw.Exec(t.Context(), town.Bin("laind-failpoint"), "down", "--data", tw.Data(), "--run", tw.RunDir()); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	is := inode(t, tw.Data())
	for _, point := range []string{"archive.folder:after#3", "archive.file:before#5", "state.load:after#1", "archive.name:after#1", "archive.exchange:before#1"} {
		out, err := k.laind([]string{"LAIN_FAILPOINT=" + point}, "restore", "--force", file)
		if err == nil {
			t.Errorf("it never came to %s:\n%s", point, out)
		}
		if inode(t, tw.Data()) != is {
			t.Fatalf("killed at %s, it changed the data folder", point)
		}
	}
	if out, err := k.laind([]string{"LAIN_FAILPOINT=archive.exchange:after#1"}, "restore", "--force", file); err == nil {
		t.Errorf("it never came to its end:\n%s", out)
	}
	if inode(t, tw.Data()) == is {
		t.Error("the two folders did not change places")
	}
	must(t, tw.Start(t.Context()))
	comesBack(t, app, good, "one")
	must(t, tw.Stop())
	if out, err := tw.Exec(t.Context(), town.Bin("laind-failpoint"), "down", "--data", tw.Data(), "--run", tw.RunDir()); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	k.mustLaind("restore", "--force", file)
	must(t, tw.Start(t.Context()))
	comesBack(t, app, good, "one")
	commit := app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

func inode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)
}

// The vault, the engine's secrets and all else are lost and come back from one file: the same release serves with the
// same values, and a secret can be changed.
func TestBackupBringsSecretsBack(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	k := newKeeper(t, tw)
	u := newUser(t, tw, "keeps", "  num_instances: 2")
	put(t, tw, "staged, not released", "secret put "+u.Name+" conf/key --stage")
	l := u.Load(load.Options{Rate: 50, PostEvery: 50, Sockets: 1})
	answered(t, l, 50)
	file := filepath.Join(t.TempDir(), "lain.age")
	k.mustLaind("backup", file)
	answered(t, l, 50)
	u.NoneLost(l)
	h := town.NewHunt(map[string]string{"the secret": "staged, not released"})
	must(t, h.Tree(filepath.Dir(file), nil))
	if found := h.Found("the secret"); len(found) > 0 {
		t.Errorf("the backup shows a secret: %v", found)
	}
	k.lose(u.App)

	k.mustLaind("restore", file)
	must(t, tw.Start(t.Context()))
	comesBack(t, u.App, u.commit, "one")
	u.hasItsOwn()
	vaultHas(t, tw, u, "staged, not released")
	if n := len(town.JSON[[]release](t, tw, "releases "+u.Name)); n != 1 {
		t.Errorf("there are %d releases, want the one that was backed up", n)
	}
	u.value = "changed after it came back"
	put(t, tw, u.value, "secret put "+u.Name+" conf/key")
	u.hasItsOwn()
	u.goesOn()
}

// A backup is of its moment, also where that is in the middle of a rollout: what comes back of it is the release that
// served then, and the run that was under way has ended without it.
func TestBackupInTheMiddleOfARollout(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Binary: "laind-failpoint"})
	k := newKeeper(t, tw)
	app := tw.NewApp(t, "midway")
	app.MustPush()
	good := app.Head()
	app.Manifest("-unhealthy")
	app.Change("two")
	push := app.BeginPush()
	push.Sees("healthy: web 0/1")
	file := filepath.Join(t.TempDir(), "lain.age")
	k.mustLaind("backup", file)
	if strings.Contains(push.Output(), "Returning to") {
		t.Fatal("the backup came too late")
	}
	must(t, tw.Kill())
	push.Wait()
	k.lose(app)

	k.mustLaind("restore", file)
	must(t, tw.Start(t.Context()))
	comesBack(t, app, good, "one")
	if r := newestRun(t, tw, app); r.State != "interrupted" || !strings.Contains(r.Reason, "restarted during the rollout") {
		t.Errorf("the run that was under way: %+v", r)
	}
	app.Manifest("")
	app.Commit("two, and well")
	app.MustPush()
	app.Truth(app.Head(), "two")
}
