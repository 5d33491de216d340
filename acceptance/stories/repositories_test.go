//go:build acceptance

package stories

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// refusedAtTheDoor checks a first push that was refused before there was a run: the reason is in git's status
// line, nothing was built, and neither application nor repository is left behind.
func refusedAtTheDoor(t *testing.T, tw *town.Town, app *town.App, r town.Result, reason string, causes ...string) {
	t.Helper()
	r.Refused(t, reason, causes...)
	if strings.Contains(r.Stderr, "Building") {
		t.Errorf("it was built before it was refused:\n%s", r.Stderr)
	}
	leavesNothing(t, tw, app)
}

// leavesNothing checks that there is no trace of an application.
func leavesNothing(t *testing.T, tw *town.Town, app *town.App) {
	t.Helper()
	app.Eventually("nothing of the refused push is left", 3*time.Minute, func() error {
		if r := tw.SSH(t, "info "+app.Name); r.Code != 66 {
			return fmt.Errorf("info %s: exit %d, want 66\n%s", app.Name, r.Code, r.All())
		}
		return noFile(filepath.Join(tw.Data(), "*", app.Name+"*"))
	})
}

func noFile(pattern string) error {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("there is %s", found)
	}
	return err
}

func TestSHA256Repository_ServesOnceItsAppIsMade(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "sha")
	if err := os.RemoveAll(filepath.Join(app.Dir, ".git")); err != nil {
		t.Fatal(err)
	}
	app.Git("init", "-q", "-b", "main", "--object-format=sha256")
	app.Git("remote", "add", "lain", app.URL())
	first := app.Commit("one")

	r := app.Push()
	if hint := "apps create " + app.Name + " --object-format sha256"; r.Code == 0 || !strings.Contains(r.Stderr, hint) {
		t.Errorf("the push of a SHA-256 repository ended with %d and does not say %q:\n%s", r.Code, hint, r.All())
	}
	leavesNothing(t, tw, app)

	tw.Verb(t, "apps create "+app.Name+" --object-format sha256")
	app.MustPush()
	app.Truth(first, "one")
	second := app.Change("two")
	app.MustPush()
	app.Truth(second, "two")
	app.Git("clone", "-q", app.URL(), t.TempDir())
}

func TestShallowClone_OfTheServerCanPush(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "shallow")
	app.MustPush()
	app.Change("two")
	app.MustPush()
	clone := filepath.Join(t.TempDir(), "clone")
	app.Git("clone", "-q", "--depth", "1", app.URL(), clone)
	app.Dir = clone
	app.Git("remote", "add", "lain", app.URL())
	commit := app.Change("three")
	app.MustPush()
	app.Truth(commit, "three")
}

func TestShallowClone_OfAnotherPlaceIsRefusedBeforeABuild(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "cutoff")
	app.Change("two")
	clone := filepath.Join(t.TempDir(), "clone")
	app.Git("clone", "-q", "--depth", "1", "file://"+app.Dir, clone)
	app.Dir = clone
	app.Git("remote", "add", "lain", app.URL())
	refusedAtTheDoor(t, tw, app, app.Push(), "shallow update not allowed", "push again: git fetch --unshallow")
	app.Git("fetch", "-q", "--unshallow")
	app.MustPush()
	app.Truth(app.Head(), "two")
}

func TestSubmodule_IsRefusedByItsName(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "submodule")
	app.Git("update-index", "--add", "--cacheinfo", "160000,"+app.Head()+",vendor/libfoo")
	app.Git("commit", "-q", "-m", "a submodule")
	refusedAtTheDoor(t, tw, app, app.Push(), "vendor/libfoo", "is a git submodule")
}

func TestLFSPointer_IsRefusedByItsName(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "pointer")
	app.MustPush()
	served := app.Head()
	app.Write("assets/big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("4d", 32)+"\nsize 12345\n")
	app.Change("two")
	app.Push().Refused(t, "assets/big.bin is a Git LFS pointer", "commit the file itself")
	app.Truth(served, "one")
}

// A developer who has git-lfs installed asks this first, from its pre-push hook.
func TestLFSClient_IsToldThatThereIsNone(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	for _, command := range []string{"git-lfs-authenticate hello upload", "git-lfs-transfer hello upload"} {
		r := tw.SSH(t, command)
		if r.Code != 64 || r.Stdout != "" || strings.TrimSpace(r.Stderr) != "lain: Git LFS is not supported here: commit the files themselves, or fetch them in the build" {
			t.Errorf("%s: exit %d\n%s", command, r.Code, r.All())
		}
	}
}

// The town is its own: half a gigabyte on its way would slow the stories that count requests.
func TestAPushOf500MB_Serves(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "huge")
	app.Write("lain.yaml", "appname: "+app.Name+`
build:
  base: lain/testapp:1
  script: [ls data | wc -l > COUNT]
release:
  dest_base: lain/testapp:1
  copy: [VERSION, COUNT]
web:
  cmd: /bin/testapp -version-file /lain/app/VERSION
  port: 8080
`)
	noise := make([]byte, 1<<20)
	for i := range 500 {
		_, _ = rand.Read(noise)
		app.Write(fmt.Sprintf("data/%03d.bin", i), string(noise))
	}
	app.Git("config", "core.compression", "0") // noise neither shrinks nor has deltas, and looking for them takes a minute
	app.Git("config", "core.bigFileThreshold", "512k")
	commit := app.Commit("half a gigabyte")
	began := time.Now()
	app.MustPush()
	t.Logf("pushed in %s", time.Since(began).Round(time.Second))
	app.Truth(commit, "one")
	if _, body, err := tw.Get(app.Host(), "/file?p=/lain/app/COUNT"); strings.TrimSpace(body) != "500" {
		t.Errorf("the build saw %q files (%v), want 500", body, err)
	}
}
