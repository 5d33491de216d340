package town

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server whose Binary was built with the tag failpoint dies at one of its writes: see package failpoint. The
// points count while the arm file is there.

// Failpoint is the environment for a start of such a server: point is NAME#N, log the file that notes the points
// that are passed; either may be "".
func (tw *Town) Failpoint(point, log string) []string {
	return []string{"LAIN_FAILPOINT=" + point, "LAIN_FAILPOINT_LOG=" + log, "LAIN_FAILPOINT_ARM=" + tw.armFile()}
}

// Arm makes the points count; Disarm ends it.
func (tw *Town) Arm() error { return os.WriteFile(tw.armFile(), nil, 0o644) }

// Disarm undoes Arm.
func (tw *Town) Disarm() error { return os.Remove(tw.armFile()) }

func (tw *Town) armFile() string { return filepath.Join(tw.dir, "armed") }

// Use makes the next starts use another laind, given by its path.
func (tw *Town) Use(path string) { tw.o.Binary = path }

// NginxPIDs are the processes of the router, as their node numbers them: the edge that clients are connected
// to, and the one behind it that knows the applications.
func (tw *Town) NginxPIDs(t testing.TB) (pids [2]int) {
	t.Helper()
	for i, part := range []string{"edge", ""} {
		pids[i] = childPID(t, filepath.Join(tw.RunDir(), part, "router", "nginx.child"))
	}
	return pids
}

// childPID reads the file in which the server notes a child that outlives it.
func childPID(t testing.TB, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Run is one run of an application, as the verb `runs --json` tells it.
type Run struct {
	Number int       `json:"number"`
	Commit string    `json:"commit"`
	State  string    `json:"state"`
	Reason string    `json:"reason"`
	Stage  string    `json:"stage"`
	Ended  time.Time `json:"ended"`
}

// Runs are the application's, the newest first; none where the server does not know it.
func (a *App) Runs() ([]Run, error) {
	r := a.town.SSH(a.t, "runs "+a.Name+" --json")
	if r.Code != 0 && strings.Contains(r.Stderr, "there is no application") {
		return nil, nil
	}
	if r.Code != 0 {
		return nil, fmt.Errorf("runs: exit %d: %s", r.Code, r.Stderr)
	}
	var runs []Run
	return runs, json.Unmarshal([]byte(r.Stdout), &runs)
}

// Settled waits until no run of the application moves or waits.
func (a *App) Settled() error {
	return Until(context.WithoutCancel(a.t.Context()), 2*time.Minute, func() error {
		runs, err := a.Runs()
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.Ended.IsZero() {
				return fmt.Errorf("r-%d is %s in stage %q", r.Number, r.State, r.Stage)
			}
		}
		return nil
	})
}

// Watch asks an application for its version again and again, each time over a connection of its own, as
// somebody who does not know that anything happens to the server.
type Watch struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	ok   int
	lost []string
}

// Watch begins to ask. The test's end stops it.
func (a *App) Watch() *Watch {
	w := &Watch{stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			_, err := a.Version()
			w.note(err)
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
		}
	})
	a.t.Cleanup(func() { close(w.stop); w.done.Wait() })
	return w
}

func (w *Watch) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.lost = append(w.lost, fmt.Sprintf("%s: %v", time.Now().UTC().Format("15:04:05.000"), err))
		return
	}
	w.ok++
}

// Lost takes what was lost since the last call, and says how many were answered in all.
func (w *Watch) Lost() (lost []string, answered int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, w.lost = w.lost, nil
	return lost, w.ok
}
