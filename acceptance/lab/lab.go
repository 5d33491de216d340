package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options says what lab is wanted.
type Options struct {
	Name  string   // a letter and at most five more letters or digits; "": a free name and network are chosen
	Net   string   // first three octets of the nodes' network; required with Name, ignored without
	Nodes int      // n1..nN; 0 means 1
	Env   []string // K=V, added to the environment of every dockerd and to the script's settings
}

// QuickLoss, in Options.Env, makes nodes tell the swarm every 2 s that they live, where 5 s are Swarm's default. A node
// that says nothing is Down after three times that.
//
// It is for tests that cut a manager off and heal it when it is seen as down. A manager that hears nothing calls
// an election after 10 to 20 s (Raft's ten ticks of a second; there is no vote beforehand), and comes back with a
// higher term than the others have: they drop their leader and vote anew, several times if votes collide.
//
// Measured on a busy machine, ten times each: with 5 s a node that was cut was Down after 13 to 16 s and, healed
// then, Ready after 0.3 to 62 s, six times of ten after more than 25 s; with 2 s it was Down after 5 to 8 s, nobody
// called an election, and it was Ready after 0.8 to 2.1 s. A node that had lost its power was Ready at most 0.2 s after Start, either way.
const QuickLoss = "SWARM_LAB_INIT_ARGS=--dispatcher-heartbeat 2s"

// Lab is a running swarm. Its methods may be called from several goroutines.
type Lab struct {
	slot *slot
	env  []string
}

// Up removes what dead runs left, then makes a lab and returns when the swarm of all its nodes is ready.
// ErrBusy means that a living process holds the lab of that name. The caller calls Down.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if _, err := Sweep(ctx); err != nil {
		return nil, err
	}
	s, err := place(o)
	if err != nil {
		return nil, err
	}
	l := &Lab{slot: s, env: o.Env}
	if err := l.up(ctx, max(o.Nodes, 1)); err != nil {
		return nil, errors.Join(err, l.Down())
	}
	return l, nil
}

func place(o Options) (*slot, error) {
	if o.Name == "" {
		return free()
	}
	if o.Net == "" {
		return nil, fmt.Errorf("lab %s needs a network: give the first three octets as Net", o.Name)
	}
	return take(o.Name, o.Net)
}

func (l *Lab) up(ctx context.Context, nodes int) error {
	if err := l.slot.note(); err != nil {
		return err
	}
	if err := clear(ctx, l.slot); err != nil {
		return err
	}
	_, err := l.run(ctx, "up", strconv.Itoa(nodes))
	return err
}

// Down removes the lab with everything in it and gives its place back. A second call does nothing.
func (l *Lab) Down() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := clear(ctx, l.slot); err != nil {
		return err // the place stays held until the process ends, and is swept later
	}
	return ignoreClosed(errors.Join(l.slot.lock.Truncate(0), l.slot.release()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Name is the lab's name, the prefix of its namespaces and interfaces.
func (l *Lab) Name() string { return l.slot.name }

// Dir is a folder of the lab's own, removed by Down.
func (l *Lab) Dir() string { return l.slot.dir() }

// IP is the address of a node (n1 is NET.11), "" for what is no node.
func (l *Lab) IP(node string) string {
	i, err := strconv.Atoi(strings.TrimPrefix(node, "n"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s.%d", l.slot.net, 10+i)
}

// HostIP is this machine's address on the nodes' network.
func (l *Lab) HostIP() string { return l.slot.net + ".1" }

// Socket is the path of a node's Docker socket. It is the same inside the node and outside.
func (l *Lab) Socket(node string) string { return filepath.Join(l.Dir(), node, "docker.sock") }

// DockerHost is Socket in the form that DOCKER_HOST takes.
func (l *Lab) DockerHost(node string) string { return "unix://" + l.Socket(node) }

// Docker runs the docker client against a node's engine and returns what it printed.
func (l *Lab) Docker(ctx context.Context, node string, args ...string) (string, error) {
	return l.run(ctx, append([]string{"docker", node}, args...)...)
}

// Load copies a saved image (a tar file) to the given nodes, or to all.
func (l *Lab) Load(ctx context.Context, tar string, nodes ...string) error {
	return l.do(ctx, append([]string{"load", tar}, nodes...)...)
}

// Kill is a power loss: everything in the node dies at once, and no packet leaves it any more.
func (l *Lab) Kill(ctx context.Context, node string) error { return l.do(ctx, "kill", node) }

// Stop shuts a node down in order.
func (l *Lab) Stop(ctx context.Context, node string) error { return l.do(ctx, "stop", node) }

// Start boots a node that was killed or stopped, with the disk it had.
func (l *Lab) Start(ctx context.Context, node string) error { return l.do(ctx, "start", node) }

// Cut pulls a node's network cable; Heal plugs it in again.
func (l *Lab) Cut(ctx context.Context, node string) error { return l.do(ctx, "cut", node) }

// Heal undoes Cut. A manager that was cut off for more than 10 s may take a minute to be Ready, and the swarm may be
// without a leader meanwhile: see QuickLoss.
func (l *Lab) Heal(ctx context.Context, node string) error { return l.do(ctx, "heal", node) }

// RestartEngine ends a node's dockerd, with SIGTERM or (crash) with SIGKILL, and returns when it is back.
// Other programs in the node go on.
func (l *Lab) RestartEngine(ctx context.Context, node string, crash bool) error {
	if crash {
		return l.do(ctx, "restart", node, "KILL")
	}
	return l.do(ctx, "restart", node)
}

// Exec prepares a command inside a node's namespaces, with DOCKER_HOST set to its engine. The machine's
// files are all there, except /run, which is the node's own. When ctx ends, the command is killed.
//
// The process of the returned Cmd is only the door into the node: send signals with Signal.
func (l *Lab) Exec(ctx context.Context, node string, argv ...string) *exec.Cmd {
	cmd := l.command(ctx, append([]string{"exec", node}, argv...)...)
	cmd.WaitDelay = 5 * time.Second // for grandchildren that keep the output open
	return cmd
}

// ExecPrefix is what to put before a command so that it runs inside a node: no word of it holds a space.
func (l *Lab) ExecPrefix(node string) ([]string, error) {
	path, err := script()
	return []string{"env", "SWARM_LAB_NAME=" + l.slot.name, "SWARM_LAB_NET=" + l.slot.net, "SWARM_LAB_DIR=" + l.slot.dir(), "bash", path, "exec", node}, err
}

// Signal sends a signal to the command that Exec started. It fails where the command has ended, or has not
// come up yet.
func Signal(cmd *exec.Cmd, sig syscall.Signal) error {
	pid, err := PID(cmd)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// PID is the process, as this machine numbers it, of a command that Exec started.
func PID(cmd *exec.Cmd) (int, error) {
	if cmd.Process == nil {
		return 0, errors.New("the command was not started")
	}
	door := cmd.Process.Pid
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", door))
	if err != nil {
		return 0, fmt.Errorf("the command has ended: %w", err)
	}
	if strings.TrimSpace(string(comm)) != "nsenter" {
		return 0, errors.New("the command is not in its node yet")
	}
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", door, door))
	if err != nil {
		return 0, fmt.Errorf("the command has ended: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(kids)))
	if err != nil {
		return 0, errors.New("the command has ended, or is not in its node yet")
	}
	return pid, nil
}

func (l *Lab) do(ctx context.Context, args ...string) error {
	_, err := l.run(ctx, args...)
	return err
}

// run calls the script and returns its standard output; an error carries what it said on the other.
func (l *Lab) run(ctx context.Context, args ...string) (string, error) {
	var printed, said bytes.Buffer
	cmd := l.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &printed, &said
	if err := cmd.Run(); err != nil {
		return printed.String(), fmt.Errorf("lab %s: %s: %w: %s", l.slot.name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return printed.String(), nil
}

func (l *Lab) command(ctx context.Context, args ...string) *exec.Cmd {
	path, err := script()
	cmd := exec.CommandContext(ctx, "bash", append([]string{path}, args...)...)
	if err != nil {
		cmd.Err = err
	}
	cmd.Env = append(os.Environ(), l.env...)
	cmd.Env = append(cmd.Env, "SWARM_LAB_NAME="+l.slot.name, "SWARM_LAB_NET="+l.slot.net, "SWARM_LAB_DIR="+l.slot.dir())
	return cmd
}
