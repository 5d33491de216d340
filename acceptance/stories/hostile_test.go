//go:build acceptance

package stories

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// vandal writes git objects that git itself would not.
type vandal struct {
	*town.App
	t *testing.T
}

// leaf is an entry of a tree, whatever its name.
type leaf struct{ mode, name, id string }

func (v vandal) object(kind string, content []byte) string {
	v.t.Helper()
	cmd := v.GitCommand("hash-object", "-t", kind, "-w", "--literally", "--stdin")
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (v vandal) blob(text string) string { return v.object("blob", []byte(text)) }

func (v vandal) tree(leaves ...leaf) string {
	v.t.Helper()
	var b bytes.Buffer
	for _, l := range leaves {
		id, err := hex.DecodeString(l.id)
		if err != nil {
			v.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\x00%s", l.mode, l.name, id)
	}
	return v.object("tree", b.Bytes())
}

// push pushes a tree as main.
func (v vandal) push(tree string) town.Result {
	v.t.Helper()
	commit := strings.TrimSpace(v.Git("commit-tree", "-p", "HEAD", "-m", "hostile", tree))
	return v.Push("lain", commit+":refs/heads/main")
}

// around is a tree of the work tree's own files and one more leaf, in git's order.
func (v vandal) around(l leaf) string {
	v.t.Helper()
	own := []leaf{
		{"100644", "VERSION", strings.TrimSpace(v.Git("rev-parse", "HEAD:VERSION"))},
		{"100644", "lain.yaml", strings.TrimSpace(v.Git("rev-parse", "HEAD:lain.yaml"))},
	}
	at := 0
	for at < len(own) && own[at].name < l.name {
		at++
	}
	return v.tree(append(own[:at:at], append([]leaf{l}, own[at:]...)...)...)
}

func TestHostileTrees_AreRefusedBeforeAnythingIsKept(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	for what, name := range map[string]string{
		"git's own folder": ".git", "git's folder in capitals": ".GIT", "git's short name": "git~1", "git's folder with an invisible letter": ".g\u200cit",
		"the folder above": "..", "the folder itself": ".", "a path for a name": "a/b",
	} {
		t.Run(what, func(t *testing.T) {
			v := vandal{tw.NewApp(t, "vandal"), t}
			config := v.tree(leaf{"100644", "config", v.blob("[core]\n\tfsmonitor = touch /tmp/pwned\n")})
			r := v.push(v.around(leaf{"40000", name, config}))
			r.Refused(t, "unpacker error", "fsck error in packed object")
			leavesNothing(t, tw, v.App)
		})
	}
}

func TestHostileNames_AreRefusedWithASentence(t *testing.T) {
	t.Parallel()
	v := vandal{shared(t).NewApp(t, "odd"), t}
	v.MustPush()
	served := v.Head()
	for _, c := range []struct{ name, reason string }{
		{"two\nlines", "it has control characters"},
		{"\x1b[2Jcleared", "it has control characters"},
		{strings.Repeat("n", 300), "longer than 255 bytes"},
		{"\xff\xfe", "it is not UTF-8"},
	} {
		r := v.push(v.around(leaf{"100644", c.name, v.blob("x")}))
		r.Refused(t, c.reason, "cannot be built")
		if strings.Contains(r.Stderr, "\x1b") || strings.Contains(r.Stderr, "\xff") {
			t.Errorf("the refusal carries the hostile name's bytes:\n%q", r.Stderr)
		}
	}
	v.Truth(served, "one")
}

// Whatever links in a tree point at, nothing outside of the tree gets into the build or the image.
func TestLinksOutOfTheTree_BringNothingIn(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	v := vandal{tw.NewApp(t, "links"), t}
	secret := filepath.Join(t.TempDir(), "secret")
	mark := "not-for-" + v.Name
	if err := os.WriteFile(secret, []byte(mark), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(secret); dir != "/"; dir = filepath.Dir(dir) { // anybody may read it, so that only Lain keeps it out
		_ = os.Chmod(dir, 0o755)
	}
	links := map[string]string{"absolute": secret, "relative": strings.Repeat("../", 20) + strings.TrimPrefix(secret, "/"),
		"shadow": "/etc/shadow", "root": "/", "home": "/proc/self/root" + secret, "package-lock.json": secret, "loop": "loop"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(v.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	v.Write("lain.yaml", "appname: "+v.Name+`
build:
  base: lain/testapp:1
  prepare: {script: [cat package-lock.json absolute || echo prepare saw nothing], inputs: [absolute, root, "root/etc/*"], keep: [absolute]}
  script:
    - test ! -s shadow && cat absolute relative home package-lock.json loop root`+secret+` || echo build saw nothing
    - mkdir got && cp -rL absolute relative home got/ || echo nothing to copy
test: {script: [test ! -s shadow]}
web: {cmd: /bin/testapp -version-file /lain/app/VERSION, port: 8080}
`)
	commit := v.Commit("links")
	r := v.MustPush()
	for _, want := range []string{"prepare saw nothing", "build saw nothing"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("the push does not say %q", want)
		}
	}
	if strings.Contains(r.All(), mark) {
		t.Errorf("the build read a file of the machine's:\n%s", r.All())
	}
	v.Truth(commit, "one")
	for name := range links {
		code, body, err := tw.Get(v.Host(), "/file?p=/lain/app/"+name)
		if err != nil || code != 404 || strings.Contains(body, mark) {
			t.Errorf("the image's %s: %d, %d bytes, %v", name, code, len(body), err) // which nobody should read in a log
		}
	}
}

// A pack of two kilobytes: one file of zeros, named 2048 times.
func TestZipBomb_OfManyNamesIsRefusedBeforeABuild(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	v := vandal{tw.NewApp(t, "bomb"), t}
	zeros := v.object("blob", make([]byte, 1<<20))
	var many []leaf
	for i := range 2048 {
		many = append(many, leaf{"100644", fmt.Sprintf("%04d", i), zeros})
	}
	r := v.push(v.around(leaf{"40000", "bomb", v.tree(many...)}))
	refusedAtTheDoor(t, tw, v.App, r, "are larger than 1024 MiB together", "Leave generated files out of git")
}

// Ten folders, each of ten times the next one: ten thousand million files in a kilobyte.
func TestZipBomb_OfFoldersIsRefusedBeforeABuild(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	v := vandal{tw.NewApp(t, "fold"), t}
	inner := leaf{"100644", "", v.blob("x")}
	for range 10 {
		var ten []leaf
		for i := range 10 {
			ten = append(ten, leaf{inner.mode, fmt.Sprint(i), inner.id})
		}
		inner = leaf{"40000", "", v.tree(ten...)}
	}
	inner.name = "bomb"
	refusedAtTheDoor(t, tw, v.App, v.push(v.around(inner)), "has more than 200000 files")
}

// The town is its own: git on both sides is busy with two gigabytes for a while.
func TestZipBomb_OfOneFileIsRefusedAndFillsNoDisk(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "bomb")
	zeros := filepath.Join(app.Dir, "zeros")
	app.Write("zeros", "")
	if err := os.Truncate(zeros, 2<<30); err != nil {
		t.Fatal(err)
	}
	app.Git("-c", "core.compression=1", "-c", "core.bigFileThreshold=1m", "add", "zeros")
	app.Git("commit", "-q", "-m", "bomb")
	push := app.BeginPush()
	worst := int64(0)
	if err := town.Until(t.Context(), 4*time.Minute, func() error {
		worst = max(worst, diskUse(t, tw.Data()))
		if !push.Ended() {
			return errors.New("the push goes on")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	refusedAtTheDoor(t, tw, app, push.Wait(), "are larger than 1024 MiB together", `"zeros" is where it is too much`)
	if worst > 100<<20 {
		t.Errorf("the server's folder grew to %d MiB", worst>>20)
	}
	other := tw.NewApp(t, "after")
	other.MustPush()
	other.Truth(other.Head(), "one")
}

// diskUse is what a folder takes, in bytes of blocks. What comes and goes meanwhile counts if it is seen.
func diskUse(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// packOf is a pack that claims count objects and holds what follows.
func packOf(count uint32, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
	return append(b, rest...)
}

func TestLyingPacks_EndOnlyTheirOwnPush(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	victim := tw.NewApp(t, "honest")
	victim.MustPush()
	commit := victim.Change("two")
	for what, pack := range map[string][]byte{
		"more objects than can be":     packOf(1<<32 - 1),
		"all of them, and then a blob": packOf(1<<32-1, 0xb0, 0x01, 0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01),
		"a blob of a tebibyte":         packOf(1, 0xb0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08, 0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01),
		"a delta of nothing":           packOf(1, 0x61, 0x01, 0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01),
		"nothing":                      nil,
		"no pack":                      []byte(strings.Repeat("GET / HTTP/1.1\r\n", 100)),
	} {
		t.Run(what, func(t *testing.T) {
			name := tw.NewApp(t, "liar").Name
			answer, err := pushRaw(tw, name, strings.Repeat("1", 40), pack)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(answer, "ng refs/heads/main") && !strings.Contains(answer, "fatal") {
				t.Errorf("the answer is %q", answer)
			}
			if err := noFile(filepath.Join(tw.Data(), "*", name+"*")); err != nil {
				t.Error(err)
			}
		})
	}
	victim.MustPush()
	victim.Truth(commit, "two")
}
