//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/acceptance/lab"
)

// rest measures what the server takes when nothing is asked of it: memory, processor, writes. One application
// with two instances runs.
func rest(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "resting")
	app.Manifest("", "  num_instances: 2")
	app.Commit("two instances")
	app.MustPush()
	const settle, look = 15 * time.Second, 10 * time.Second
	wait(t, settle)
	before, revision := w.cpu(t), w.revision(t)
	wait(t, look)
	after, now := w.cpu(t), w.revision(t)
	out := &table{title: "At rest", head: []string{"one application, two instances", "resident", "of it shared out fairly (PSS)", fmt.Sprintf("processor over %s", look)}}
	for _, g := range []string{"laind", "lain-vault", "nginx", "sshd (plain)", "dockerd", "containerd and shims", "the application with its helpers"} {
		m := after[g]
		out.add(fmt.Sprintf("%s (%d processes)", g, m.processes), mib(m.rss), mib(m.pss), fmt.Sprintf("%.1f %%", 100*float64(m.cpu-before[g].cpu)/float64(look)))
	}
	out.add("writes to etcd in that time", now-revision, "", "")
	return []*table{out}
}

// wait lets time pass: this is about what happens when nobody does anything.
func wait(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// usage is of a group of processes.
type usage struct {
	processes int
	rss, pss  int64
	cpu       time.Duration
}

// cpu looks at all processes of the node. Processes of containers are in its process namespace as well.
func (w *world) cpu(t *testing.T) map[string]usage {
	t.Helper()
	node, err := lab.PID(w.plain.sshd)
	if err != nil {
		t.Fatal(err)
	}
	mounts := namespace(node, "uts")
	groups := map[string]usage{}
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		name := command(pid)
		inNode := namespace(pid, "uts") == mounts
		g := group(name, inNode)
		if g == "" || !inNode && !w.container(pid) {
			continue
		}
		u := groups[g]
		u.processes++
		rss, pss := memory(pid)
		u.rss, u.pss, u.cpu = u.rss+rss, u.pss+pss, u.cpu+processor(pid)
		groups[g] = u
	}
	return groups
}

func namespace(pid int, kind string) string {
	s, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	return s
}

// container reports whether a process is in a container of the node.
func (w *world) container(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return strings.Contains(string(data), "/"+w.Lab.Name()+"/n1/")
}

func command(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(data))
}

func group(name string, inNode bool) string {
	switch {
	case !inNode:
		return "the application with its helpers"
	case name == "containerd", strings.HasPrefix(name, "containerd-shim"), strings.HasPrefix(name, "docker-proxy"):
		return "containerd and shims"
	case name == "sshd":
		return "sshd (plain)"
	case name == "laind", name == "lain-vault", name == "nginx", name == "dockerd":
		return name
	}
	return ""
}

func memory(pid int) (rss, pss int64) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(data)) {
		var key string
		var kib int64
		if _, err := fmt.Sscan(line, &key, &kib); err != nil {
			continue
		}
		switch key {
		case "Rss:":
			rss = kib << 10
		case "Pss:":
			pss = kib << 10
		}
	}
	return rss, pss
}

// processor is the time that a process and its ended children have used.
func processor(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	var ticks int64
	for i := 11; i <= 14 && i < len(fields); i++ { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// revision is the store's: it grows by one with each write.
func (w *world) revision(t *testing.T) int64 {
	t.Helper()
	socket := filepath.Join(filepath.Dir(w.Data()), "run", "etcd.sock")
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := c.Get(ctx, "nothing")
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}
