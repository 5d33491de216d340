//go:build engine

package network

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain"
)

// These tests fence a real node of a Swarm. LAIN_TEST_DOCKER_HOST names its engine, and LAIN_TEST_NODE_EXEC
// is a command, split at spaces, that runs what follows it inside the node ("" where the tests are on it).

// realNode is a node with two applications on networks of their own, each with a published port.
type realNode struct {
	host, address, echo string
	exec                []string
	a1, b1              string // containers: of app A, of app B
	portA, portB        int    // published
	id                  string // prefix of all that is made on the engine
}

func newRealNode(t *testing.T) *realNode {
	t.Helper()
	n := &realNode{host: os.Getenv("LAIN_TEST_DOCKER_HOST"), exec: strings.Fields(os.Getenv("LAIN_TEST_NODE_EXEC")),
		echo: filepath.Join(t.TempDir(), "echo"), id: fmt.Sprintf("fence%d", os.Getpid())}
	if n.host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST is not set: these tests need an engine in Swarm mode")
	}
	build := exec.Command("go", "build", "-o", n.echo, "./testdata/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n.address = n.docker(t, "info", "-f", "{{.Swarm.NodeAddr}}")
	n.image(t)
	n.service(t, "a", 2)
	n.service(t, "b", 1)
	n.a1, n.portA = n.container(t, "a")
	n.b1, n.portB = n.container(t, "b")
	n.listen(t, "tcp:80", "tcp:2222", "tcp:5000", "udp:2222", "tcp:53", "udp:"+n.gateway(t)+":53")
	return n
}

func (n *realNode) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", append([]string{"-H", n.host}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// image makes an image that holds the echo program and nothing else.
func (n *realNode) image(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(n.echo)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "echo", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(program)
	_ = w.Close()
	cmd := exec.Command("docker", "-H", n.host, "import", "-", n.id)
	cmd.Stdin = &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { n.eventually(t, "the image gone", "rmi", "-f", n.id) })
}

func (n *realNode) service(t *testing.T, app string, replicas int) {
	t.Helper()
	name := n.id + app
	n.docker(t, "network", "create", "-d", "overlay", "--attachable", name)
	t.Cleanup(func() { n.eventually(t, "the network gone", "network", "rm", name) })
	n.docker(t, "service", "create", "-d", "--no-resolve-image", "--name", name, "--network", name, "--endpoint-mode", "dnsrr",
		"--replicas", strconv.Itoa(replicas), "--publish", "mode=host,target=8080", n.id, "/echo", "serve", "-", "tcp:8080", "udp:8080")
	t.Cleanup(func() { n.docker(t, "service", "rm", name) })
}

func (n *realNode) eventually(t *testing.T, what string, args ...string) {
	eventually(t, what, func() bool {
		return exec.Command("docker", append([]string{"-H", n.host}, args...)...).Run() == nil
	})
}

// container is one running container of the app with its published port.
func (n *realNode) container(t *testing.T, app string) (id string, port int) {
	t.Helper()
	eventually(t, app+" runs", func() bool {
		id, _, _ = strings.Cut(n.docker(t, "ps", "-q", "-f", "label=com.docker.swarm.service.name="+n.id+app), "\n")
		return id != ""
	})
	eventually(t, app+" has a port", func() bool {
		out, _ := exec.Command("docker", "-H", n.host, "port", id, "8080/tcp").Output()
		first, _, _ := strings.Cut(string(out), "\n")
		port, _ = strconv.Atoi(first[strings.LastIndexByte(first, ':')+1:])
		return port != 0
	})
	return id, port
}

func (n *realNode) gateway(t *testing.T) string {
	t.Helper()
	return n.docker(t, "network", "inspect", "docker_gwbridge", "-f", "{{(index .IPAM.Config 0).Gateway}}")
}

// node is a command that runs inside the node.
func (n *realNode) node(args ...string) *exec.Cmd {
	argv := append(append([]string{}, n.exec...), args...)
	return exec.Command(argv[0], argv[1:]...)
}

// listen opens ports on the node; the listener ends with its standard input.
func (n *realNode) listen(t *testing.T, what ...string) {
	t.Helper()
	cmd := n.node(append([]string{n.echo, "serve"}, what...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the node's listener: %s", line)
	}
}

func (n *realNode) inContainer(container string, args ...string) bool {
	return exec.Command("docker", append([]string{"-H", n.host, "exec", container, "/echo"}, args...)...).Run() == nil
}

func (n *realNode) onNode(args ...string) bool {
	return n.node(append([]string{n.echo}, args...)...).Run() == nil
}

func (n *realNode) outside(args ...string) bool { return exec.Command(n.echo, args...).Run() == nil }

// realWay is a path on the real node.
type realWay struct {
	name string
	try  func() bool
	open bool
}

func (n *realNode) ways(t *testing.T) []realWay {
	fromA := func(network, host string, port int) func() bool {
		return func() bool { return n.inContainer(n.a1, "ask", network, host+":"+strconv.Itoa(port)) }
	}
	gateway := n.gateway(t)
	ways := []realWay{
		{"container to node:2222", fromA("tcp", n.address, 2222), false},
		{"container to node:5000", fromA("tcp", n.address, 5000), false},
		{"container to gateway:5000", fromA("tcp", gateway, 5000), false},
		{"container to gateway:2222 by UDP", fromA("udp", gateway, 2222), false},
		{"container to swarm's 2377", func() bool { return n.inContainer(n.a1, "dial", n.address+":2377") }, false},
		{"container to another app's node:port", fromA("tcp", n.address, n.portB), false},
		{"container to another app's gateway:port", fromA("tcp", gateway, n.portB), false},
		{"container to its own node:port", fromA("tcp", n.address, n.portA), false},
		{"container to the router", fromA("tcp", n.address, 80), true},
		{"container to the router by its gateway", fromA("tcp", gateway, 80), true},
		{"container to the node's DNS", fromA("udp", gateway, 53), true},
		{"container to the node's DNS by TCP", fromA("tcp", n.address, 53), true},
		{"container to its app's name", func() bool { return n.inContainer(n.a1, "ask", "tcp", n.id+"a:8080") }, true},
		{"container to its app's name by UDP", func() bool { return n.inContainer(n.a1, "ask", "udp", n.id+"a:8080") }, true},
		{"container resolves its app", func() bool { return n.inContainer(n.a1, "resolve", "tasks."+n.id+"a") }, true},
		{"node to a published port", func() bool { return n.onNode("ask", "tcp", n.address+":"+strconv.Itoa(n.portB)) }, true},
		{"node by loopback to a published port", func() bool { return n.onNode("ask", "tcp", "127.0.0.1:"+strconv.Itoa(n.portB)) }, true},
	}
	if len(n.exec) == 0 {
		return ways // the tests are on the node: there is no outside to try
	}
	return append(ways,
		realWay{"outside to a published port", func() bool { return n.outside("ask", "tcp", n.address+":"+strconv.Itoa(n.portB)) }, false},
		realWay{"outside to the router", func() bool { return n.outside("ask", "tcp", n.address+":80") }, true},
		realWay{"outside to SSH", func() bool { return n.outside("ask", "tcp", n.address+":2222") }, true})
}

func TestEngineFence(t *testing.T) {
	n := newRealNode(t)
	ways := n.ways(t)
	for _, w := range ways {
		if !w.try() {
			t.Errorf("without a fence: %s is not open, so this test would show nothing", w.name)
		}
	}
	fence := n.fence(t, "fencea", 80)
	install(t, fence)
	if err := fence.SetPublished(t.Context(), []int{n.portA, n.portB}); err != nil {
		t.Fatal(err)
	}
	n.check(t, ways)

	t.Run("beside another cluster", func(t *testing.T) {
		other := n.fence(t, "fenceb", 5000)
		install(t, other)
		for i := range ways {
			ways[i].open = ways[i].open || strings.HasSuffix(ways[i].name, ":5000")
		}
		n.check(t, ways)
	})
}

func (n *realNode) fence(t *testing.T, cluster lain.Cluster, port int) *Fence {
	t.Helper()
	fence, err := New(Options{Cluster: cluster, RouterPorts: []int{port}, Nft: append(append([]string{}, n.exec...), "nft")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fence.Down(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
	return fence
}

func (n *realNode) check(t *testing.T, ways []realWay) {
	t.Helper()
	began := time.Now()
	for _, w := range ways {
		if open := w.try(); open != w.open {
			t.Errorf("%s: open is %v, want %v", w.name, open, w.open)
		}
	}
	t.Logf("%d ways in %s", len(ways), time.Since(began).Round(time.Millisecond))
}
