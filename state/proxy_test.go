package state_test

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/state"
)

// link is an embedded store and a second one that reaches it by a connection which can be cut.
type link struct {
	t      *testing.T
	inner  *state.Store
	outer  *state.Store
	socket string // the inner store's
	mu     sync.Mutex
	down   bool
	conns  []net.Conn
	work   sync.WaitGroup
}

func newLink(t *testing.T) *link {
	dir := shortDir(t)
	l := &link{t: t, socket: filepath.Join(dir, "s")}
	var err error
	l.inner, err = state.Open(t.Context(), state.Options{Dir: t.TempDir(), Socket: l.socket, Cluster: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, l.inner.Close()) })
	door, err := net.Listen("unix", filepath.Join(dir, "door"))
	must(t, err)
	l.work.Go(func() { l.accept(door) })
	t.Cleanup(func() { _ = door.Close(); l.cut(); l.work.Wait() })
	l.outer, err = state.Open(t.Context(), state.Options{Endpoints: []string{"unix://" + dir + "/door"}, Cluster: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, l.outer.Close()) })
	return l
}

func (l *link) accept(door net.Listener) {
	for {
		in, err := door.Accept()
		if err != nil {
			return
		}
		l.join(in)
	}
}

func (l *link) join(in net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, err := net.Dial("unix", l.socket)
	if err != nil || l.down {
		_ = in.Close()
		if err == nil {
			_ = out.Close()
		}
		return
	}
	l.conns = append(l.conns, in, out)
	l.work.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
	l.work.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
}

// cut ends all connections and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// compact drops etcd's history before revision.
func (l *link) compact(revision int64) {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + l.socket}})
	must(l.t, err)
	_, err = c.Compact(l.t.Context(), revision, clientv3.WithCompactPhysical())
	must(l.t, err)
	must(l.t, c.Close())
}
