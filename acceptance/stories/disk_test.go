//go:build acceptance

package stories

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// A server whose disk has less than its reserve takes no push and serves on; with room again it takes them, and
// nobody has restarted it.
func TestAShortDiskRefusesPushesAndServesOn(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{DataMB: 512, Args: []string{"--min-free", "67108864"}})
	app := tw.NewApp(t, "short")
	app.MustPush()
	first := app.Head()
	watch := app.Watch()
	tw.DataDisk().Fill(t, 40<<10)
	app.Change("two")
	r := app.Push()
	if r.Code == 0 || !strings.Contains(r.Stderr, "the server's disk has") || !strings.Contains(r.Stderr, "pushes wait until 64 MiB are free; running applications are not touched") {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	unborn := tw.NewApp(t, "unborn")
	if r := unborn.Push(); r.Code == 0 || !strings.Contains(r.Stderr, "the server's disk has") {
		t.Errorf("a first push: exit %d\n%s", r.Code, r.All())
	}
	if r := tw.SSH(t, "apps"); r.Code != 0 || strings.Contains(r.Stdout, unborn.Name) {
		t.Errorf("apps: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(first, "one")
	app.Eventually("retention makes room at once", time.Minute, func() error {
		return told(tw, "lain_disk_refusals_total 2", "lain_retention_last_timestamp_seconds ", "lain_disk_free_bytes{path=")
	})
	if r := tw.SSH(t, "restart "+app.Name); r.Code != 0 { // needs the store and no more
		t.Errorf("restart: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(first, "one")
	tw.DataDisk().Empty(t)
	app.MustPush()
	app.Truth(app.Head(), "two")
	unborn.MustPush()
	if lost, answered := watch.Lost(); len(lost) > 0 || answered == 0 {
		t.Errorf("lost %d of %d: %v", len(lost), answered, lost)
	}
}

// A disk that is full to its last byte, at each stage that writes to it: the push ends with a sentence that says
// so, the old release serves, and with room again the next push works, though nobody has restarted the server.
func TestADiskThatFillsInTheMiddle(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{DataMB: 640, Args: []string{"--min-free", "1048576"}})
	for _, c := range []struct {
		name    string
		leaveKB int
		change  func(*testing.T, *town.App)
		says    []string // one of them
	}{
		{"receive", 8 << 10, func(t *testing.T, a *town.App) { a.Write("big", random(t, 24<<20)) }, []string{"disk", "No space left on device"}},
		{"unpack", 24 << 10, func(_ *testing.T, a *town.App) { a.Write("zeros", strings.Repeat("\x00", 96<<20)) }, []string{"the server's disk", "a disk of the server is full"}},
		{"image", 88 << 10, func(t *testing.T, a *town.App) { a.Write("big", random(t, 32<<20)) }, []string{"the server's disk"}},
		{"log", 6 << 10, func(_ *testing.T, a *town.App) { chatter(a) }, []string{"the server's disk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := tw.NewApp(t, c.name)
			app.MustPush()
			first := app.Head()
			running := tw.Exited()
			c.change(t, app)
			app.Change("two")
			tw.DataDisk().Fill(t, c.leaveKB)
			begun := time.Now()
			r := app.Push()
			t.Logf("free %d KB, %s, exit %d\n%s", tw.DataDisk().FreeKB(t), time.Since(begun).Round(time.Second), r.Code, tail(r.All(), 12))
			if r.Code == 0 || !anyOf(r.All(), c.says) {
				t.Errorf("exit %d, none of %q is said", r.Code, c.says)
			}
			select {
			case <-running:
				t.Fatal("the server has died of it")
			default:
			}
			app.Truth(first, "one")
			if err := app.Settled(); err != nil {
				t.Error(err)
			}
			nothingHalfMade(t, tw)
			tw.DataDisk().Empty(t)
			if c.name == "log" {
				app.Manifest("")
				app.Commit("quiet")
			}
			app.MustPush()
			app.Truth(app.Head(), "two")
		})
	}
}

// chatter makes the build print more than there is room for, no faster than the engine can hand it on: of a burst it loses
// what the disk was to be filled with.
func chatter(a *town.App) {
	a.Write("lain.yaml", fmt.Sprintf(`appname: %s
build:
  base: lain/testapp:1
  script: ["i=0; while [ $i -lt 12000 ]; do echo $i %s; i=$((i+1)); [ $((i%%20)) = 0 ] && sleep 0.01; done; true"]
web:
  cmd: /bin/testapp -version-file /lain/app/VERSION
  port: 8080
  healthcheck: /healthz
`, a.Name, strings.Repeat("x", 1000)))
}

// nothingHalfMade looks for what a write that broke off could have left.
func nothingHalfMade(t *testing.T, tw *town.Town) {
	t.Helper()
	out, err := tw.Exec(t.Context(), "find", tw.Data()+"/builds", tw.Data()+"/registry", tw.Data()+"/repositories", "(", "-path", "*/builds/*", "-prune",
		"-o", "-path", "*/_uploads/*", "-name", "data", "-size", "+0", "-o", "-name", "tmp_objdir-*", "-o", "-name", "tmp_pack_*", "-o", "-name", "*.tmp", ")", "-print")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("left behind: %v\n%s", err, out)
	}
}

// told reports whether /metrics has these words.
func told(tw *town.Town, words ...string) error {
	resp, err := http.Get(fmt.Sprintf("http://%s:%d/metrics", tw.IP(), town.APIPort))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	for _, w := range words {
		if err == nil && !strings.Contains(string(text), w) {
			err = fmt.Errorf("/metrics lacks %q", w)
		}
	}
	return err
}

func random(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func anyOf(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, l := range lines {
		lines[i] = l[:min(len(l), 300)]
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// A server that is killed while its disk is full to the last byte starts on it, since nothing it must have is
// written anew. What serves does not notice.
func TestAServerThatIsKilledOnAFullDiskComesBack(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{DataMB: 512, Args: []string{"--min-free", "1048576"}})
	app := tw.NewApp(t, "killed")
	app.MustPush()
	first := app.Head()
	tw.DataDisk().Fill(t, 0)
	watch := app.Watch()
	if err := tw.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := tw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.Truth(first, "one")
	app.Change("two")
	if r := app.Push(); r.Code == 0 || !strings.Contains(r.Stderr, "the server's disk has 0 MiB left") {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	tw.DataDisk().Empty(t)
	app.MustPush()
	app.Truth(app.Head(), "two")
	if lost, answered := watch.Lost(); len(lost) > 0 || answered == 0 {
		t.Errorf("lost %d of %d: %v", len(lost), answered, lost)
	}
}

// The engine's disk is not the server's, and is watched as well. A build that fills it to the last byte fails,
// and not for the server's disk; what serves goes on, and with room again so do pushes.
func TestTheEnginesDisk(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{EngineMB: 768, Args: []string{"--min-free", "67108864"}})
	disk := tw.EngineDisk()
	app := tw.NewApp(t, "engine")
	app.MustPush()
	first := app.Head()
	watch := app.Watch()
	disk.Fill(t, 40<<10)
	app.Change("two")
	if r := app.Push(); r.Code == 0 || !strings.Contains(r.Stderr, "the engine's disk has") {
		t.Errorf("short of its reserve: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(first, "one")

	disk.Fill(t, 120<<10)
	build := func(script string) {
		text := strings.Replace(read(t, app, "lain.yaml"), "[echo building]", script, 1)
		app.Write("lain.yaml", text)
	}
	build(`["dd if=/dev/urandom of=big bs=1M count=200"]`)
	app.Commit("large")
	begun := time.Now()
	r := app.Push()
	t.Logf("free %d KB, %s, exit %d\n%s", disk.FreeKB(t), time.Since(begun).Round(time.Second), r.Code, tail(r.All(), 12))
	if r.Code == 0 || !strings.Contains(r.All(), "No space left on device") || strings.Contains(r.All(), "the server's disk") {
		t.Errorf("full to the last byte: exit %d", r.Code)
	}
	app.Truth(first, "one")
	disk.Empty(t)
	app.Manifest("")
	app.Commit("small")
	app.MustPush()
	app.Truth(app.Head(), "two")
	if lost, answered := watch.Lost(); len(lost) > 0 || answered == 0 {
		t.Errorf("lost %d of %d: %v", len(lost), answered, lost)
	}
}

func read(t *testing.T, a *town.App, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.Dir, name))
	must(t, err)
	return string(text)
}
