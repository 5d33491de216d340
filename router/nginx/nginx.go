// Package nginx keeps one nginx process of our own: tests configurations, puts them in place, starts or
// adopts the process, reloads it, and knows when a reload has come to life.
//
// The process has its own prefix, pid, sockets, logs and temporary files below the folders it is given;
// an nginx of the machine is never touched. It outlives its keeper: nothing here stops it but Down.
//
// What the configuration says is not decided here.
package nginx

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/supervise"
)

// Options say which nginx, and where it lives.
type Options struct {
	Program string // "": nginx from PATH, or /usr/sbin/nginx
	Dir     string // absolute: configuration, logs, temporary files
	RunDir  string // absolute: pid file and sockets, in a folder "router" of their own
	Logger  *slog.Logger
}

// Files are the places of everything nginx reads and writes.
type Files struct {
	Config    string
	Candidate string // a configuration under test
	PID       string // written by nginx
	Child     string // written by supervise
	Temp      string
	AccessLog string
	ErrorLog  string
	Output    string // what nginx says before it has a log
	Control   string
	Front     string
	Again     string
	Calls     string // folder of sockets, one for each proc
	Trial     string // socket in configurations that are only tested; nobody listens on it
}

// Server is our nginx. It is not safe for concurrent use.
type Server struct {
	Files Files
	User  string // of the workers; "": whoever runs us. Known after Prepare
	Group int    // gid of User; -1: that is ""

	options Options
	log     *slog.Logger
	child   *supervise.Process   // nil until adopted or started
	since   time.Time            // when child was started or adopted
	retired map[worker]time.Time // replaced workers, and when they were first seen to be
}

// New describes an nginx; Prepare makes its folders.
func New(o Options) *Server {
	run := filepath.Join(o.RunDir, "router")
	logs := filepath.Join(o.Dir, "logs")
	return &Server{options: o, log: o.Logger, Group: -1, retired: map[worker]time.Time{}, Files: Files{
		Config:    filepath.Join(o.Dir, "nginx.conf"),
		Candidate: filepath.Join(o.Dir, "candidate.conf"),
		PID:       filepath.Join(run, "nginx.pid"),
		Child:     filepath.Join(run, "nginx.child"),
		Temp:      filepath.Join(o.Dir, "temp"),
		AccessLog: filepath.Join(logs, "access.log"),
		ErrorLog:  filepath.Join(logs, "error.log"),
		Output:    filepath.Join(logs, "nginx.out"),
		Control:   filepath.Join(run, "control.sock"),
		Front:     filepath.Join(run, "front.sock"),
		Again:     filepath.Join(run, "again.sock"),
		Calls:     filepath.Join(run, "calls"),
		Trial:     filepath.Join(run, "trial.sock"),
	}}
}

// Prepare finds the program and makes the folders. It may be called again.
func (s *Server) Prepare() error {
	program, err := find(s.options.Program)
	if err != nil {
		return err
	}
	s.options.Program = program
	run := filepath.Dir(s.Files.Control)
	for _, dir := range []string{s.options.Dir, filepath.Dir(s.Files.ErrorLog), s.Files.Temp} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			return fmt.Errorf("folder of the router: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(run), 0o755); err != nil {
		return fmt.Errorf("folder of the router: %w", err)
	}
	if err := os.Mkdir(run, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("folder of the router: %w", err)
	}
	if err := s.chooseUser(run); err != nil {
		return fmt.Errorf("folder of the router: %w", err)
	}
	return nil
}

func find(program string) (string, error) {
	for _, name := range []string{program, "nginx", "/usr/sbin/nginx"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		} else if name == program {
			return "", fault.Hide(fault.Unavailable, err, "there is no nginx at %s: correct the path or install nginx", program)
		}
	}
	return "", fault.New(fault.Unavailable, "nginx is not installed: install it (apt-get install nginx-light)")
}

// chooseUser lets the workers run as somebody without rights, and opens the folder of the sockets to that
// group alone: whoever reaches a socket is believed. Where the folders around ours are closed to that
// user, the workers stay root: a body on disk would otherwise be an error 500.
func (s *Server) chooseUser(run string) error {
	name, gid := unprivileged()
	if name == "" {
		return os.Chmod(run, 0o700)
	}
	for _, dir := range []string{s.options.Dir, filepath.Dir(run)} {
		if closed := closedFolder(dir); closed != "" {
			s.log.Warn("the router's workers run as root: a folder is closed to their own user", "folder", closed, "user", name)
			return os.Chmod(run, 0o700)
		}
	}
	s.User, s.Group = name, gid
	return errors.Join(os.Chown(run, 0, gid), os.Chmod(run, 0o710))
}

// unprivileged finds a user for the workers; "" when we are not root, or there is none.
func unprivileged() (name string, gid int) {
	if os.Geteuid() != 0 {
		return "", 0
	}
	for _, name := range []string{"www-data", "nginx", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			if gid, err := strconv.Atoi(u.Gid); err == nil {
				return name, gid
			}
		}
	}
	return "", 0
}

// closedFolder is the first folder on the way to dir that others may not pass, or "".
func closedFolder(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&fs.FileMode(0o001) == 0 {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// MaxFiles is how many files a worker may open: what the machine allows, and not more than it needs.
func MaxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Max, 65536))
}
