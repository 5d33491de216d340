package supervise

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// remembered is the process of the pid file, or nil when that is missing, stale or another program's.
func (s Spec) remembered() (*Process, error) {
	pid, start, ok := readPIDFile(s.PIDFile)
	if !ok {
		return nil, nil
	}
	return s.take(pid, func(st status) bool { return start == 0 || start == st.start })
}

// search looks through all processes for one with our command line. Only the leader of a session of our
// own user and pid namespace will do: neither an editor of the same file nor a container can pose as it.
func (s Spec) search() (*Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		found, err := s.take(pid, func(st status) bool { return st.session == pid && ours(pid) })
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// take holds a pid fast first and looks at it then, so that what was looked at is what will get our
// signals.
func (s Spec) take(pid int, fits func(status) bool) (*Process, error) {
	handle, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	st, err := look(pid)
	if err != nil || st.dead() || !s.matches(pid) || !fits(st) || handle.Signal(syscall.Signal(0)) != nil {
		return nil, handle.Release()
	}
	p := &Process{spec: s, handle: handle, pid: pid, start: st.start}
	if st.parent == os.Getpid() {
		p.reap()
	}
	return p, nil
}

// matches reports whether every word of Match is on the command line.
func (s Spec) matches(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(raw) == 0 {
		return false
	}
	line := string(raw)
	spaced := strings.ReplaceAll(line, "\x00", " ")
	for _, word := range s.Match {
		if !strings.Contains(line, word) && !strings.Contains(spaced, word) {
			return false
		}
	}
	return true
}

// ours reports whether a process belongs to our user and shares our pid namespace.
func ours(pid int) bool {
	dir := fmt.Sprintf("/proc/%d", pid)
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	theirs, err := os.Readlink(dir + "/ns/pid")
	mine, own := os.Readlink("/proc/self/ns/pid")
	return ok && int(owner.Uid) == os.Geteuid() && errors.Join(err, own) == nil && theirs == mine
}

// readPIDFile reads "PID START", or the bare "PID" that programs write themselves (start 0).
func readPIDFile(path string) (pid int, start uint64, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) == 0 || len(fields) > 2 {
		return 0, 0, false
	}
	if pid, err = strconv.Atoi(fields[0]); err != nil || pid <= 1 {
		return 0, 0, false
	}
	if len(fields) == 2 {
		if start, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
			return 0, 0, false
		}
	}
	return pid, start, true
}

// status is what we need of /proc/PID/stat (proc_pid_stat(5)).
type status struct {
	state   byte
	parent  int
	session int
	start   uint64 // field 22: clock ticks since boot
}

func (st status) dead() bool { return st.state == 'Z' || st.state == 'X' }

func look(pid int) (status, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return status{}, err
	}
	return parseStat(string(data))
}

// parseStat skips the program's name, which may hold anything, by its last parenthesis.
func parseStat(line string) (status, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 {
		return status{}, fmt.Errorf("unknown form of /proc/PID/stat: %.80q", line)
	}
	parent, err1 := strconv.Atoi(fields[1])
	session, err2 := strconv.Atoi(fields[3])
	start, err3 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return status{}, fmt.Errorf("read /proc/PID/stat: %w", err)
	}
	return status{state: fields[0][0], parent: parent, session: session, start: start}, nil
}
