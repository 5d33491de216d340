package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/archive"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state/statetest"
)

// sealed encrypts an archive.
func sealed(t testing.TB, lock archive.Lock, clear []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := lock.Close(&b)
	must(t, err)
	_, err = w.Write(clear)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// old is a data folder that is to stay as it is.
func old(t testing.TB) (data, is string) {
	t.Helper()
	data = newTarget(t)
	must(t, os.MkdirAll(filepath.Join(data, "ssh"), 0o700))
	must(t, os.WriteFile(filepath.Join(data, "ssh", "key"), []byte("the old one"), 0o600))
	return data, tree(t, filepath.Dir(data))
}

// refused restores with force over an old data folder, which must fail and change nothing.
func refused(t *testing.T, what, data, is string, r io.Reader) error {
	t.Helper()
	to := target(data)
	to.Force = true
	_, err := to.Read(t.Context(), r)
	if err == nil {
		t.Fatalf("%s was restored", what)
	}
	if now := tree(t, filepath.Dir(data)); now != is {
		t.Fatalf("%s was refused (%v) and left\n%s\nwant\n%s", what, err, now, is)
	}
	if f := fault.Of(err); f.Kind == fault.Internal {
		t.Errorf("%s: no sentence for a person: %v", what, err)
	}
	return err
}

func TestRestore_refusesWhatWasCut(t *testing.T) {
	file, key, _ := sealedPlane(t)
	data, is := old(t)
	for i := range 16 {
		at := len(file) * i / 16
		restoreSealed(t, fmt.Sprintf("the first %d bytes of %d", at, len(file)), data, is, key, file[:at])
	}
	restoreSealed(t, "all but one byte", data, is, key, file[:len(file)-1])
}

func TestRestore_refusesAFlippedByte(t *testing.T) {
	file, key, _ := sealedPlane(t)
	data, is := old(t)
	header := bytes.Index(file, []byte("--- "))
	for what, at := range map[string]int{
		"the first line": 3, "the stanza": header - 20, "the header's MAC": header + 10, "the nonce": header + 52,
		"the first chunk": header + 200, "the middle": len(file) / 2, "the last chunk": len(file) - 2000, "the last tag": len(file) - 1,
	} {
		broken := bytes.Clone(file)
		broken[at] ^= 1
		restoreSealed(t, what, data, is, key, broken)
	}
}

func sealedPlane(t *testing.T) (file []byte, key archive.Key, p *plane) {
	t.Helper()
	p = newPlane(t)
	p.write("ssh/large", strings.Repeat("noise ", 100_000), 0o600) // some chunks of the encryption
	lock, key := keys(t)
	return sealed(t, lock, p.backup()), key, p
}

// restoreSealed must fail, in the opening or in the reading.
func restoreSealed(t *testing.T, what, data, is string, key archive.Key, file []byte) {
	t.Helper()
	in, err := key.Open(bytes.NewReader(file))
	if err != nil {
		if fault.Of(err).Kind == fault.Internal {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	refused(t, what, data, is, in)
}

// Whoever knows the recipient can make a file that decrypts. In the clear, any flipped byte of content and most
// of the heads have to be found by the seal.
func TestRestore_refusesAFlippedByteInTheClear(t *testing.T) {
	p := newPlane(t)
	file := p.backup()
	data, is := old(t)
	for _, mark := range []string{"v-test", "a host key", "a program", `"k":"apps/hello"`, "tree ", "\"sha256\":\""} {
		at := bytes.Index(file, []byte(mark))
		if at < 0 {
			continue
		}
		broken := bytes.Clone(file)
		broken[at+len(mark)-1] ^= 1
		refused(t, "a change to "+mark, data, is, bytes.NewReader(broken))
	}
}

// build makes a tar as an attacker would.
func build(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Linkname, h.Size = "", int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o600
		}
		must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, content)
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

const goodManifest = `{"format":1,"lain":"x","cluster":"test"}`

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content}
}

func TestRestore_refusesHostileEntries(t *testing.T) {
	data, is := old(t)
	outside := filepath.Join(filepath.Dir(data), "outside")
	for what, h := range map[string][]tar.Header{
		"a path that leads out":      {file("data/../../outside", "x")},
		"an absolute path":           {file("/etc/passwd", "x")},
		"an absolute path in data":   {file("data//etc/passwd", "x")},
		"a dot":                      {file("data/./x", "x")},
		"a backslash":                {file(`data/..\x`, "x")},
		"a newline":                  {file("data/a\nb", "x")},
		"a symlink":                  {{Typeflag: tar.TypeSymlink, Name: "data/link", Linkname: outside}},
		"a file through a symlink":   {{Typeflag: tar.TypeSymlink, Name: "data/link", Linkname: ".."}, file("data/link/outside", "x")},
		"a hard link":                {file("data/a", "x"), {Typeflag: tar.TypeLink, Name: "data/b", Linkname: "data/a"}},
		"a hard link to outside":     {{Typeflag: tar.TypeLink, Name: "data/b", Linkname: "/etc/shadow"}},
		"a device":                   {{Typeflag: tar.TypeBlock, Name: "data/disk", Devmajor: 8}},
		"a character device":         {{Typeflag: tar.TypeChar, Name: "data/null", Devmajor: 1, Devminor: 3}},
		"a fifo":                     {{Typeflag: tar.TypeFifo, Name: "data/fifo"}},
		"a setuid program":           {{Typeflag: tar.TypeReg, Name: "data/sh", Mode: 0o4755}},
		"an attribute":               {{Typeflag: tar.TypeReg, Name: "data/a", PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}}},
		"a file twice":               {file("data/a", "x"), file("data/a", "y")},
		"a file as a folder":         {file("data/a", "x"), file("data/a/b", "y")},
		"no folder above it":         {file("data/a/b", "y")},
		"the store itself":           {{Typeflag: tar.TypeDir, Name: "data/etcd/", Mode: 0o700}},
		"a file of the store":        {file("data/etcd/lock", "x")},
		"an entry of no kind":        {file("elsewhere/x", "x")},
		"a second manifest":          {file("manifest.json", goodManifest)},
		"a record of no kind":        {file("records/1", `{"k":"x","v":"eA=="}`)},
		"a record outside":           {file("records/1", `{"k":"../other/apps/x","v":"eyJzY2hlbWEiOjF9"}`)},
		"records that are no JSON":   {file("records/1", "]")},
		"a record without envelope":  {file("records/1", `{"k":"apps/x","v":"e30="}`)},
		"a record of a newer schema": {file("records/1", `{"k":"apps/x","v":"eyJzY2hlbWEiOjk5LCJyZWNvcmQiOnt9fQ=="}`)},
	} {
		archived := build(t, append(append([]tar.Header{file("manifest.json", goodManifest)}, h...), file("seal.json", `{}`))...)
		err := refused(t, what, data, is, bytes.NewReader(archived))
		t.Logf("%s: %v", what, err)
		if strings.Contains(err.Error(), "its seal says") {
			t.Errorf("%s was found by the seal only, which an attacker writes", what)
		}
	}
}

func TestRestore_refusesOtherArchives(t *testing.T) {
	data, is := old(t)
	for want, archived := range map[string][]byte{
		"newer lain":         build(t, file("manifest.json", `{"format":2,"lain":"v9","cluster":"test"}`)),
		"of the cluster b":   build(t, file("manifest.json", `{"format":1,"lain":"v9","cluster":"b"}`)),
		"cut off":            build(t, file("manifest.json", goodManifest)),
		"its seal says":      build(t, file("manifest.json", goodManifest), file("seal.json", "{}")),
		"does not begin":     build(t, file("data/x", "")),
		"something lies":     append(newPlane(t).backup(), "more"...),
		"the backup was cut": nil,
	} {
		if err := refused(t, want, data, is, bytes.NewReader(archived)); !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestRestore_moveAsideOnlyWhenAsked(t *testing.T) {
	archived := newPlane(t).backup()
	data, is := old(t)
	if _, err := target(data).Read(t.Context(), bytes.NewReader(archived)); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Fatalf("a data folder that is not empty: %v", err)
	}
	if now := tree(t, filepath.Dir(data)); now != is {
		t.Errorf("it is now\n%s", now)
	}
	to := target(data)
	to.Force = true
	got, err := to.Read(t.Context(), bytes.NewReader(archived))
	must(t, err)
	if content, err := os.ReadFile(filepath.Join(got.Before, "ssh", "key")); err != nil || string(content) != "the old one" || !strings.HasPrefix(got.Before, data+".before-") {
		t.Errorf("the old folder is in %q: %q, %v", got.Before, content, err)
	}
	left, err := os.ReadDir(filepath.Dir(data))
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRestore_intoAnEmptyFolder(t *testing.T) {
	p := newPlane(t)
	data := newTarget(t)
	must(t, os.Mkdir(data, 0o700))
	got, err := target(data).Read(t.Context(), bytes.NewReader(p.backup()))
	must(t, err)
	if got.Before != "" {
		t.Errorf("an empty folder was moved aside to %s", got.Before)
	}
	if _, err := os.Stat(filepath.Join(data, "repositories", "hello.git")); err != nil {
		t.Error(err)
	}
}

func TestRestore_refusesAFolderInUse(t *testing.T) {
	p := newPlane(t)
	archived := p.backup()
	program := exec.Command("sleep", "1000") // stands for nginx, or a vault
	log, err := os.Create(filepath.Join(p.data, "log"))
	must(t, err)
	program.Stdout = log
	must(t, program.Start())
	must(t, log.Close())
	defer func() { _ = program.Process.Kill(); _ = program.Wait() }()
	to := target(p.data)
	to.Force = true
	if _, err := to.Read(t.Context(), bytes.NewReader(archived)); err == nil || !strings.Contains(err.Error(), "sleep (pid") {
		t.Errorf("%v", err)
	}
}

func TestRestore_oneAtATime(t *testing.T) {
	archived := newPlane(t).backup()
	data := newTarget(t)
	r, w := io.Pipe()
	first := make(chan error, 1)
	go func() { _, err := target(data).Read(context.Background(), r); first <- err }()
	half := len(archived) / 2
	_, err := w.Write(archived[:half]) // returns when the first one has read it
	must(t, err)
	if _, err := target(data).Read(t.Context(), bytes.NewReader(archived)); err == nil || !strings.Contains(err.Error(), "another restore") {
		t.Errorf("the second: %v", err)
	}
	_, err = w.Write(archived[half:])
	must(t, err)
	must(t, w.Close())
	must(t, <-first)
}

func TestRestore_stopped(t *testing.T) {
	archived := newPlane(t).backup()
	data, is := old(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to := target(data)
	to.Force = true
	if _, err := to.Read(ctx, bytes.NewReader(archived)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if now := tree(t, filepath.Dir(data)); now != is {
		t.Errorf("it left\n%s", now)
	}
}

// restoreFromInput is what the test binary does when it is to be killed.
func restoreFromInput(data string) {
	to := archive.Target{Data: data, Cluster: statetest.Cluster, Force: true, Now: time.Now}
	if _, err := to.Read(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A restore that is killed at any place leaves the old data folder; the next one works, and clears up.
func TestRestore_killed(t *testing.T) {
	p := newPlane(t)
	p.write("ssh/large", strings.Repeat("noise ", 1_000_000), 0o600)
	archived := p.backup()
	data, _ := old(t)
	is := tree(t, data)
	for i := 1; i < 8; i++ {
		killedAt(t, data, archived[:len(archived)*i/8])
		if now := tree(t, data); now != is {
			t.Fatalf("killed at %d/8 it left\n%s", i, now)
		}
	}
	if _, err := os.Stat(data + ".restoring"); err != nil {
		t.Errorf("no restore was killed in its midst: %v", err)
	}
	to := target(data)
	to.Force = true
	_, err := to.Read(t.Context(), bytes.NewReader(archived))
	must(t, err)
	if left, err := os.ReadDir(filepath.Dir(data)); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// killedAt gives a restore the beginning of an archive, and kills it when it has read that.
func killedAt(t *testing.T, data string, part []byte) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "LAIN_ARCHIVE_TEST_RESTORE="+data)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	must(t, err)
	must(t, child.Start())
	_, err = in.Write(part) // more than the pipe holds, so most of it was read
	must(t, err)
	must(t, child.Process.Kill())
	if err := child.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
}
