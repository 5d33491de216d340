package nginx

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// A replaced worker lives until its last connection (a WebSocket, an upload) ends, at most the
	// worker_shutdown_timeout. Beyond keepRetired of them the oldest are ended, but none that has not had
	// the shortest time.
	keepRetired = 16
	shortest    = 30 * time.Second

	workerTitle  = "nginx: worker process"
	retiredTitle = "is shutting down" // nginx sets it right before it closes its listeners
)

// worker is one worker process; its start time tells it from a later one with the same pid.
type worker struct {
	pid   int
	start uint64 // clock ticks since boot
}

// prune ends the oldest of the replaced workers when there are too many.
func (s *Server) prune(now time.Time) error {
	all, err := children(s.child.PID())
	if err != nil {
		return err
	}
	retired := slices.DeleteFunc(all, func(w worker) bool { return !w.retired() })
	victims, seen := tooMany(retired, s.retired, now)
	s.retired = seen
	for _, w := range victims {
		s.log.Info("ending an old worker, with the connections it still has", "pid", w.pid)
		if err := syscall.Kill(w.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end worker %d: %w", w.pid, err)
		}
	}
	return nil
}

// tooMany picks the workers to end, oldest first, and returns since when each was seen to be replaced.
func tooMany(retired []worker, since map[worker]time.Time, now time.Time) (victims []worker, seen map[worker]time.Time) {
	seen = map[worker]time.Time{}
	for _, w := range retired {
		seen[w] = now
		if t, ok := since[w]; ok {
			seen[w] = t
		}
	}
	slices.SortFunc(retired, func(a, b worker) int { return int(a.start) - int(b.start) })
	for _, w := range retired[:max(0, len(retired)-keepRetired)] {
		if now.Sub(seen[w]) >= shortest {
			victims = append(victims, w)
		}
	}
	return victims, seen
}

// title is what the process calls itself; "" when it is gone or a zombie.
func (w worker) title() string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", w.pid))
	return string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '}))
}

func (w worker) retired() bool {
	title := w.title()
	return strings.HasPrefix(title, workerTitle) && strings.Contains(title, retiredTitle)
}

// listening leaves out the workers that have been replaced already.
func listening(all []worker) []worker {
	return slices.DeleteFunc(all, worker.retired)
}

// allRetired reports whether none of them takes connections any more: gone, or shutting down.
func allRetired(all []worker) bool {
	return !slices.ContainsFunc(all, func(w worker) bool {
		return strings.HasPrefix(w.title(), workerTitle) && !w.retired()
	})
}

// children are the worker processes of a master.
func children(master int) ([]worker, error) {
	return scan(func(_ int, parent int) bool { return parent == master })
}

// holders are the workers, whoever their parent is, that have a file open below a folder: only ours write
// our logs, under whatever name a rotation gave them.
func holders(dir string) ([]worker, error) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return scan(func(pid, _ int) bool {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		return slices.ContainsFunc(links, func(link string) bool {
			target, err := os.Readlink(link)
			return err == nil && strings.HasPrefix(target, dir+"/")
		})
	})
}

// scan looks through the machine's processes for nginx workers that fit.
func scan(fits func(pid, parent int) bool) ([]worker, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for nginx workers: %w", err)
	}
	var found []worker
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		parent, start, ok := look(pid)
		w := worker{pid: pid, start: start}
		if ok && strings.HasPrefix(w.title(), workerTitle) && fits(pid, parent) {
			found = append(found, w)
		}
	}
	return found, nil
}

// look reads /proc/PID/stat (proc_pid_stat(5)); the name in it may hold anything up to the last parenthesis.
func look(pid int) (parent int, start uint64, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	start, err2 := strconv.ParseUint(fields[19], 10, 64)
	return parent, start, err1 == nil && err2 == nil
}
