// Package town is where acceptance stories take place: an engine of its own, a laind of its own on it, and
// people with git and ssh who know nothing but addresses.
//
// A Town imports nothing of Lain's: it runs the built binaries, whose folder LAIN_BIN names, and looks at the
// outcome from outside. Many stories can share a town as long as none of them harms the server; those that do
// open one of their own.
package town

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lain.internal/lain/acceptance/lab"
)

// Options of a town. The zero value is a plain one.
type Options struct {
	Binary   string   // of laind, below LAIN_BIN; "": laind
	Args     []string // more arguments for laind serve
	Env      []string // more environment for laind serve, K=V
	Bases    []string // more bases than bare and testapp, as make-bases calls them; golang is slow to import
	DataMB   int      // the data folder is a disk of its own, in memory, of this size; 0: it is not
	EngineMB int      // the same for the engine's disk
	Leave    bool     // applications leave with the test that made them: for a town that outlives tests
}

// Town is a machine with a server on it.
type Town struct {
	Lab *lab.Lab
	Key string // private key of the admin
	dir string
	o   Options

	leaving errgroup.Group // applications whose test is over

	mu     sync.Mutex
	laind  *exec.Cmd
	exited chan struct{}
}

// The ports of the server on its node.
const (
	SSHPort = 2222
	APIPort = 7070
)

// Open makes a town: engine, images, key, server. It is closed by Close, or with the test when t is given.
func Open(ctx context.Context, o Options) (*Town, error) {
	if o.Binary == "" {
		o.Binary = "laind"
	}
	l, err := lab.Up(ctx, lab.Options{Env: []string{"SWARM_LAB_MANAGERS=0", fmt.Sprintf("SWARM_LAB_DATA_MB=%d", o.EngineMB)}})
	if err != nil {
		return nil, err
	}
	tw := &Town{Lab: l, o: o}
	if err := tw.furnish(ctx); err != nil {
		return nil, errors.Join(err, tw.Close())
	}
	return tw, nil
}

// New opens a town for one test and closes it with the test, printing the server's log if the test failed.
func New(t testing.TB, o Options) *Town {
	t.Helper()
	tw, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's last words:\n%s", tw.Log(80))
		}
		if err := tw.Close(); err != nil {
			t.Error(err)
		}
	})
	return tw
}

func (tw *Town) furnish(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "lain-town")
	if err != nil {
		return err
	}
	tw.dir = dir
	if err := os.Chmod(dir, 0o711); err != nil { // git runs as a user of its own below it
		return err
	}
	if err := tw.bases(ctx); err != nil {
		return err
	}
	if tw.Key, err = tw.NewKey("admin"); err != nil {
		return err
	}
	if err := tw.mountData(ctx); err != nil {
		return err
	}
	return tw.Start(ctx)
}

// Bin is the path of a built program; one that lies elsewhere is named by its path.
func Bin(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	dir := os.Getenv("LAIN_BIN")
	if dir == "" {
		panic("LAIN_BIN must name the folder of the built programs: run make test")
	}
	return filepath.Join(dir, name)
}

func (tw *Town) bases(ctx context.Context) error {
	args := []string{"-engine", tw.Lab.DockerHost("n1"), "-testapp", Bin("testapp"), "bare", "testapp"}
	args = append(args, tw.o.Bases...)
	if out, err := exec.CommandContext(ctx, Bin("make-bases"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("make-bases: %w\n%s", err, out)
	}
	return nil
}

// NewKey makes a key pair and returns the private key's path; the public one has .pub behind it.
func (tw *Town) NewKey(name string) (string, error) {
	path := filepath.Join(tw.dir, "key-"+name)
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ssh-keygen: %w\n%s", err, out)
	}
	return path, nil
}

// IP is the server's address.
func (tw *Town) IP() string { return tw.Lab.IP("n1") }

// Data is the server's data folder.
func (tw *Town) Data() string { return filepath.Join(tw.dir, "data") }

// Start starts the server and waits until it is ready. More environment may be given for this start.
func (tw *Town) Start(ctx context.Context, env ...string) error {
	cmd, err := tw.launch(env)
	if err != nil {
		return err
	}
	if err := tw.awaitReady(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, tw.Log(40))
	}
	_ = cmd
	return nil
}

// Launch starts the server and does not wait for it: it may be meant to die on the way.
func (tw *Town) Launch(env ...string) error {
	_, err := tw.launch(env)
	return err
}

func (tw *Town) launch(env []string) (*exec.Cmd, error) {
	log, err := os.OpenFile(tw.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	argv := append([]string{"env"}, append(append([]string{}, tw.o.Env...), env...)...)
	argv = append(argv, Bin(tw.o.Binary), "serve")
	argv = append(argv, tw.flags()...)
	argv = append(argv, "--address-pool", "10.201.0.0/16") // away from the labs' own networks
	argv = append(argv, "--admin-key", tw.Key+".pub", "--ssh-addr", fmt.Sprintf(":%d", SSHPort), "--api-addr", fmt.Sprintf(":%d", APIPort))
	argv = append(argv, tw.o.Args...)
	cmd := tw.Lab.Exec(context.Background(), "n1", argv...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C of the test run is the town's to handle
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	tw.mu.Lock()
	tw.laind, tw.exited = cmd, exited
	tw.mu.Unlock()
	go func() { _ = cmd.Wait(); close(exited) }()
	return cmd, nil
}

// RunDir is the server's folder of sockets and pid files.
func (tw *Town) RunDir() string { return filepath.Join(tw.dir, "run") }

func (tw *Town) flags() []string {
	return []string{"--data", tw.Data(), "--run", tw.RunDir(), "--engine", tw.Lab.DockerHost("n1")}
}

func (tw *Town) logFile() string { return filepath.Join(tw.dir, "laind.log") }

// Log is the end of what the server wrote.
func (tw *Town) Log(lines int) string {
	data, _ := os.ReadFile(tw.logFile())
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// awaitReady polls /healthz until it answers 200, the server exits, or three minutes have passed.
func (tw *Town) awaitReady(ctx context.Context) error {
	return Until(ctx, 3*time.Minute, func() error {
		select {
		case <-tw.Exited():
			return fmt.Errorf("%w: the server has exited", ErrNever)
		default:
		}
		resp, err := http.Get(fmt.Sprintf("http://%s:%d/healthz", tw.IP(), APIPort))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/healthz: %s", resp.Status)
		}
		return nil
	})
}

// Exited closes when the server that was started last has ended.
func (tw *Town) Exited() <-chan struct{} {
	tw.mu.Lock()
	defer tw.mu.Unlock()
	return tw.exited
}

// Kill ends the server by SIGKILL and waits until it is gone.
func (tw *Town) Kill() error { return tw.signal(syscall.SIGKILL) }

// Stop ends the server by SIGTERM and waits until it has drained.
func (tw *Town) Stop() error { return tw.signal(syscall.SIGTERM) }

func (tw *Town) signal(sig syscall.Signal) error {
	tw.mu.Lock()
	cmd, exited := tw.laind, tw.exited
	tw.mu.Unlock()
	if cmd == nil {
		return nil
	}
	select {
	case <-exited:
		return nil
	default:
	}
	if err := lab.Signal(cmd, sig); err != nil {
		return err
	}
	select {
	case <-exited:
		return nil
	case <-time.After(4 * time.Minute):
		return fmt.Errorf("the server did not end on %v\n%s", sig, tw.Log(40))
	}
}

// Close ends the server, what outlives it, and the engine, and removes everything.
func (tw *Town) Close() error {
	all := tw.leaving.Wait()
	if tw.laind != nil {
		all = errors.Join(all, tw.Kill(), tw.down())
	}
	all = errors.Join(all, tw.Lab.Down())
	if tw.dir != "" && os.Getenv("LAIN_KEEP") == "" {
		all = errors.Join(all, os.RemoveAll(tw.dir))
	}
	return all
}

func (tw *Town) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := tw.Lab.Exec(ctx, "n1", append([]string{Bin(tw.o.Binary), "down"}, tw.flags()...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("laind down: %w\n%s", err, out)
	}
	return nil
}

// ErrNever ends Until at once: waiting longer would not help.
var ErrNever = errors.New("this will not come true")

// Until tries a condition until it holds, returning the last reason why it did not.
func Until(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil || errors.Is(err, ErrNever) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}

// Get asks the router for a path of a host and returns status and body.
func (tw *Town) Get(host, path string) (int, string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+tw.IP()+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(resp.Body, 64<<20))
	return resp.StatusCode, b.String(), err
}

// Exec runs a command on the server's machine.
func (tw *Town) Exec(ctx context.Context, argv ...string) (string, error) {
	out, err := tw.Lab.Exec(ctx, "n1", argv...).CombinedOutput()
	return string(out), err
}
