package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("LAIN_STATE_TEST_WRITER"); dir != "" {
		writeForEver(dir)
	}
	goleak.VerifyTestMain(m)
}

func TestOpen_isQuickPrivateAndQuiet(t *testing.T) {
	var log bytes.Buffer
	dir := filepath.Join(t.TempDir(), "deep", "state")
	o := state.Options{Dir: dir, Socket: filepath.Join(shortDir(t), "s"), Cluster: "test", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	began := time.Now()
	s, err := state.Open(t.Context(), o)
	must(t, err)
	t.Logf("open took %v", time.Since(began))
	if took := time.Since(began); took > 5*time.Second { // 0.1 s on an idle machine
		t.Errorf("open took %v", took)
	}
	if !s.Sole() {
		t.Error("an embedded store has other owners")
	}
	mode(t, dir, os.ModeDir|0o700)
	mode(t, o.Socket, os.ModeSocket|0o600)
	for _, l := range listening(t) {
		t.Errorf("this process listens on %s", l)
	}
	must(t, s.Close())
	must(t, s.Close())
	if log.Len() > 0 {
		t.Errorf("it said: %s", log.String())
	}
	if _, err := os.Stat(o.Socket); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestClose_doesNotWaitForEverOnASilentConnection(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "s")
	s, err := state.Open(t.Context(), state.Options{Dir: t.TempDir(), Socket: socket, Cluster: "test"})
	must(t, err)
	silent, err := net.Dial("unix", socket)
	must(t, err)
	later, err := state.Open(t.Context(), state.Options{Cluster: "test", Endpoints: []string{"unix://" + socket}})
	must(t, err) // it was accepted after the silent one, which is thus waited for by now
	must(t, later.Close())
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "did not stop within") {
		t.Errorf("close: %v", err)
	}
	must(t, silent.Close())
	for { // now it ends; its socket is the last to go
		if _, err := net.Dial("unix", socket); err != nil {
			break
		}
	}
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode() != want {
		t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lain-state-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// listening finds the TCP sockets of this process that listen.
func listening(t *testing.T) (found []string) {
	t.Helper()
	own := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(table)
		must(t, err)
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && own[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	return found
}

func TestListening_seesAListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if len(listening(t)) != 1 {
		t.Error("it is not seen: the test above proves nothing")
	}
}

func TestOpen_refusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s := statetest.OpenAt(t, dir)
	began := time.Now()
	_, err := state.Open(t.Context(), state.Options{Dir: dir, Socket: filepath.Join(shortDir(t), "s"), Cluster: "test"})
	if err == nil || fault.Of(err).Kind != fault.Conflict || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second store on it: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	k := state.Of[record](s, "apps/")
	rev, err := k.Put(t.Context(), "a", record{Count: 1})
	must(t, err)
	must(t, s.Close())
	is(t, state.Of[record](statetest.OpenAt(t, dir), "apps/"), "a", state.Item[record]{Key: "a", Value: record{Count: 1}, Revision: rev})
}

func TestOpen_refusesBadOptions(t *testing.T) {
	dir := shortDir(t)
	for name, o := range map[string]state.Options{
		"no cluster":        {Dir: dir, Socket: dir + "/s"},
		"a hostile cluster": {Dir: dir, Socket: dir + "/s", Cluster: "a/../b"},
		"no folder":         {Socket: dir + "/s", Cluster: "test"},
		"no socket":         {Dir: dir, Cluster: "test"},
		"a long socket":     {Dir: dir, Socket: dir + "/" + strings.Repeat("s", 108), Cluster: "test"},
		"a bad endpoint":    {Endpoints: []string{"http://127.0.0.1:\x00"}, Cluster: "test"},
	} {
		if s, err := state.Open(t.Context(), o); err == nil {
			_ = s.Close()
			t.Errorf("%s was accepted", name)
		} else if kind := fault.Of(err).Kind; kind != fault.Invalid {
			t.Errorf("%s: %s, %v", name, kind, err)
		}
	}
}

// An outside etcd is played by another store's embedded one.
func TestOpen_outsideEndpoints(t *testing.T) {
	dir := shortDir(t)
	inner, err := state.Open(t.Context(), state.Options{Dir: t.TempDir(), Socket: dir + "/s", Cluster: "test"})
	must(t, err)
	defer inner.Close()
	outer, err := state.Open(t.Context(), state.Options{Cluster: "test", Endpoints: []string{"unix://" + dir + "/s"}})
	must(t, err)
	defer outer.Close()
	if outer.Sole() {
		t.Error("an outside store has one owner only")
	}
	other, err := state.Open(t.Context(), state.Options{Cluster: "other", Endpoints: []string{"unix://" + dir + "/s"}})
	must(t, err)
	defer other.Close()
	rev, err := state.Of[record](inner, "apps/").Put(t.Context(), "a", record{Count: 1})
	must(t, err)
	is(t, state.Of[record](outer, "apps/"), "a", state.Item[record]{Key: "a", Value: record{Count: 1}, Revision: rev})
	if _, err := state.Of[record](other, "apps/").Get(t.Context(), "a"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("another cluster's record: %v", err)
	}
}

// writeForEver acknowledges each write on standard output, until it is killed.
func writeForEver(dir string) {
	s, err := state.Open(background, state.Options{Dir: dir, Socket: filepath.Join(dir, "s"), Cluster: "test"})
	for i := 0; err == nil; i++ {
		if _, err = state.Of[record](s, "apps/"+os.Args[1]).Create(background, strconv.Itoa(i), record{Count: i}); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
