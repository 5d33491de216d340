package network

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// way is one path a packet could take, and whether it may.
type way struct {
	name    string
	from    namespace
	network string
	host    string
	port    int
	open    bool // with the fence; without it every way is open
}

func (n toyNode) ways(t *testing.T) []way {
	return []way{
		{"container to SSH on the node", n.appA, "tcp", nodeLAN4, sshPort, false},
		{"container to SSH on its gateway", n.appA, "tcp", gateway4, sshPort, false},
		{"container to SSH on the node, v6", n.appA, "tcp", nodeLAN6, sshPort, false},
		{"container to SSH on its gateway, v6", n.appA, "tcp", gateway6, sshPort, false},
		{"container to SSH on its gateway, link-local", n.appA, "tcp", n.linkLocal(t), sshPort, false},
		{"container to the node by UDP", n.appA, "udp", gateway4, sshPort, false},
		{"container to the node by UDP, v6", n.appA, "udp", gateway6, sshPort, false},
		{"container to another app's published port", n.appA, "tcp", nodeLAN4, publishedB, false},
		{"container to another app's published port by the gateway", n.appA, "tcp", gateway4, publishedB, false},
		{"container to its own published port", n.appB, "tcp", nodeLAN4, publishedB, false},
		{"outside to a published port", n.outside, "tcp", nodeLAN4, publishedB, false},
		{"outside routed to a container", n.outside, "tcp", appB4, 8080, false},
		{"container to the router", n.appA, "tcp", nodeLAN4, routerPort, true},
		{"container to the router by its gateway", n.appA, "tcp", gateway4, routerPort, true},
		{"container to the router, v6", n.appA, "tcp", nodeLAN6, routerPort, true},
		{"container to DNS by UDP", n.appA, "udp", gateway4, dnsPort, true},
		{"container to DNS by TCP, v6", n.appA, "tcp", gateway6, dnsPort, true},
		{"container to the world", n.appA, "tcp", outside4, sshPort, true},
		{"container to its neighbour", n.appA, "tcp", appB4, 8080, true},
		{"node to a container", n.node, "tcp", appB4, 8080, true},
		{"node to a published port", n.node, "tcp", nodeLAN4, publishedB, true},
		{"node by loopback to a published port", n.node, "tcp", "127.0.0.1", publishedB, true},
		{"node to itself", n.node, "tcp", nodeLAN4, sshPort, true},
		{"outside to SSH", n.outside, "tcp", nodeLAN4, sshPort, true},
		{"outside to the router", n.outside, "tcp", nodeLAN4, routerPort, true},
		{"outside to SSH, v6", n.outside, "tcp", nodeLAN6, sshPort, true},
	}
}

// linkLocal is the gateway's own address as app A dials it, its zone by number: the names of zones are cached
// by the process for the namespace it was born in.
func (n toyNode) linkLocal(t *testing.T) (address string) {
	t.Helper()
	n.node.do(t, func() error {
		bridge, err := netlink.LinkByName("docker_gwbridge")
		if err != nil {
			return err
		}
		all, err := netlink.AddrList(bridge, netlink.FAMILY_V6)
		for _, a := range all {
			if a.IP.IsLinkLocalUnicast() {
				address = a.IP.String()
			}
		}
		return err
	})
	n.appA.do(t, func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err == nil {
			address += "%" + strconv.Itoa(eth0.Attrs().Index)
		}
		return err
	})
	return address
}

func TestFenceShutsAndLeavesOpen(t *testing.T) {
	n := newToyNode(t)
	ways := n.ways(t)
	for _, w := range ways {
		if !w.reaches() {
			t.Fatalf("without a fence: %s is not open, so this test would show nothing", w.name)
		}
	}
	fence := newFence(t, n.node, "alpha", routerPort)
	install(t, fence)
	if err := fence.SetPublished(t.Context(), []int{publishedB}); err != nil {
		t.Fatal(err)
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			if w.reaches() != w.open {
				t.Errorf("open: %v, want %v", !w.open, w.open)
			}
		})
	}
}

func (w way) reaches() bool { return w.from.reaches(w.network, w.host, w.port) }

// TestFenceShutsPortsItWasNotToldOf: what somebody else's containers publish is theirs to show to the outside,
// but the node's own addresses are shut to containers all the same.
func TestFenceShutsPortsItWasNotToldOf(t *testing.T) {
	n := newToyNode(t)
	install(t, newFence(t, n.node, "alpha", routerPort))
	if n.appA.reaches("tcp", nodeLAN4, publishedB) {
		t.Error("a container reaches a published port that is not in the set")
	}
	if !n.outside.reaches("tcp", nodeLAN4, publishedB) {
		t.Error("a port that is not ours is shut to the outside")
	}
}

func TestFenceShutsBroadcastAndMulticast(t *testing.T) {
	n := newToyNode(t)
	for _, to := range []string{"172.31.0.255", "255.255.255.255", "224.0.0.1"} {
		if !n.hears(t, to) {
			t.Fatalf("without a fence the node hears nothing sent to %s, so this test would show nothing", to)
		}
	}
	install(t, newFence(t, n.node, "alpha", routerPort))
	for _, to := range []string{"172.31.0.255", "255.255.255.255", "224.0.0.1"} {
		if n.hears(t, to) {
			t.Errorf("the node hears what a container sends to %s", to)
		}
	}
}

// hears reports whether a packet of app A to the address comes to an open port of the node.
func (n toyNode) hears(t *testing.T, to string) bool {
	t.Helper()
	var ear, mouth net.PacketConn
	n.node.do(t, func() (err error) { ear, err = net.ListenPacket("udp4", ":0"); return err })
	defer func() { _ = ear.Close() }()
	n.appA.do(t, func() (err error) { mouth, err = net.ListenPacket("udp4", appA4+":0"); return err })
	defer func() { _ = mouth.Close() }()
	port := ear.LocalAddr().(*net.UDPAddr).Port
	if _, err := mouth.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(to), Port: port}); err != nil {
		t.Fatal(err)
	}
	_ = ear.SetReadDeadline(time.Now().Add(patience))
	_, _, err := ear.ReadFrom(make([]byte, 100))
	return err == nil
}

func TestFenceEndsConnectionsThatWereThereBefore(t *testing.T) {
	n := newToyNode(t)
	conn := n.connect(t, n.appA, nodeLAN4, sshPort)
	back := n.connect(t, n.node, appB4, 8080)
	install(t, newFence(t, n.node, "alpha", routerPort))
	if hello(conn) == nil {
		t.Error("a connection from a container to the node outlived the fence")
	}
	if err := hello(back); err != nil {
		t.Errorf("a connection from the node to a container was cut: %v", err)
	}
}

func (n toyNode) connect(t *testing.T, from namespace, host string, port int) (conn net.Conn) {
	t.Helper()
	from.do(t, func() (err error) {
		conn, err = net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	if err := hello(conn); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestClustersLeaveEachOthersRouterOpen(t *testing.T) {
	n := newToyNode(t)
	alpha, beta := newFence(t, n.node, "alpha", routerPort), newFence(t, n.node, "beta", otherRouter)
	install(t, alpha)
	install(t, beta)
	for port, want := range map[int]bool{routerPort: true, otherRouter: true, dnsPort: true, sshPort: false} {
		if n.appA.reaches("tcp", nodeLAN4, port) != want {
			t.Errorf("with both fences port %d is open: %v, want %v", port, !want, want)
		}
	}
	if err := beta.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	for port, want := range map[int]bool{routerPort: true, otherRouter: false, sshPort: false} {
		if n.appA.reaches("tcp", nodeLAN4, port) != want {
			t.Errorf("with alpha's fence alone port %d is open: %v, want %v", port, !want, want)
		}
	}
}

func TestPeersAreFencedAndRouterNodesReachPublishedPorts(t *testing.T) {
	n := newToyNode(t)
	outside := addrs(outside4, outside6)
	fence, err := New(Options{Cluster: "alpha", RouterPorts: []int{routerPort}, Nft: n.node.nft(), Peers: outside, Routers: outside})
	if err != nil {
		t.Fatal(err)
	}
	install(t, fence)
	if err := fence.SetPublished(t.Context(), []int{publishedB}); err != nil {
		t.Fatal(err)
	}
	if n.appA.reaches("tcp", outside4, sshPort) {
		t.Error("a container reaches SSH of another node")
	}
	if !n.appA.reaches("tcp", outside4, routerPort) {
		t.Error("a container does not reach the router of another node")
	}
	if !n.outside.reaches("tcp", nodeLAN4, publishedB) {
		t.Error("another router node does not reach a published port")
	}
}

func TestSetPublishedReplacesTheSet(t *testing.T) {
	n := newToyNode(t)
	fence := newFence(t, n.node, "alpha", routerPort)
	if err := fence.SetPublished(t.Context(), []int{publishedB}); err != nil {
		t.Fatal("before Install:", err)
	}
	if strings.Contains(tables(t, n.node), "lain_alpha") {
		t.Error("SetPublished before Install made a table")
	}
	install(t, fence)
	if n.outside.reaches("tcp", nodeLAN4, publishedB) {
		t.Error("a port told before Install is not shut by it")
	}
	if err := fence.SetPublished(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !n.outside.reaches("tcp", nodeLAN4, publishedB) {
		t.Error("a port that is ours no more stays shut")
	}
	if err := fence.SetPublished(t.Context(), []int{0}); fault.Of(err).Kind != fault.Invalid {
		t.Errorf("port 0: %v", err)
	}
}

// started runs the fence until the test ends, and waits for it.
func started(t *testing.T, fence *Fence) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- fence.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunPutsTheFenceBack(t *testing.T) {
	node := newNamespace(t)
	fence := newFence(t, node, "alpha", routerPort)
	install(t, fence)
	want := tables(t, node)
	started(t, fence)
	for _, vandalism := range []string{
		"flush ruleset",
		"delete table inet lain_alpha",
		"flush chain inet lain_alpha shut",
		"add element inet lain_alpha open { 2222 }",
		"insert rule inet lain_alpha shut accept",
	} {
		if err := node.nft().load(t.Context(), vandalism); err != nil {
			t.Fatal(err)
		}
		eventually(t, "back after "+vandalism, func() bool { return tables(t, node) == want })
	}
}

func TestRunFollowsTheEndpoints(t *testing.T) {
	node, store := newNamespace(t), statetest.Open(t)
	fence, err := New(Options{Cluster: "alpha", RouterPorts: []int{80}, Nft: node.nft(), Store: store,
		Every: time.Minute, Addresses: addrs(nodeLAN4)})
	if err != nil {
		t.Fatal(err)
	}
	install(t, fence)
	started(t, fence)
	endpoints := state.Of[lain.Endpoints](store, lain.EndpointsPrefix)
	put := func(key string, addresses ...string) {
		if _, err := endpoints.Put(t.Context(), key, lain.Endpoints{Addresses: addresses}); err != nil {
			t.Fatal(err)
		}
	}
	put("hello/web", nodeLAN4+":32768", "10.99.0.12:32999", "nonsense", nodeLAN4+":0")
	put("other/web", nodeLAN4+":32769")
	eventually(t, "both ports shut", holds(t, node, "{ 32768, 32769 }"))
	put("hello/web", nodeLAN4+":32770")
	eventually(t, "the new port shut", holds(t, node, "{ 32769, 32770 }"))
	if _, err := endpoints.Delete(t.Context(), "other/web"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old port open", holds(t, node, "{ 32770 }"))
}

func holds(t *testing.T, node namespace, elements string) func() bool {
	return func() bool { return strings.Contains(tables(t, node), "elements = "+elements) }
}

// fixedPorts answers as an engine would.
type fixedPorts []int

func (p fixedPorts) PublishedPorts(context.Context) ([]int, error) { return p, nil }

func TestRunAsksForPortsThatDoNotServeYet(t *testing.T) {
	node := newNamespace(t)
	fence, err := New(Options{Cluster: "alpha", Nft: node.nft(), Ports: fixedPorts{40000}, Every: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	install(t, fence)
	started(t, fence)
	eventually(t, "the port shut", holds(t, node, "{ 40000 }"))
}

func TestDownLeavesNothingAndTouchesNothingElse(t *testing.T) {
	node := newNamespace(t)
	if err := node.nft().load(t.Context(), engineTable); err != nil {
		t.Fatal(err)
	}
	before := tables(t, node)
	fence := newFence(t, node, "alpha", 80, 443)
	install(t, fence)
	install(t, fence)
	for range 2 {
		if err := fence.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := tables(t, node); after != before {
		t.Errorf("after Down:\n%s\nbefore Install:\n%s", after, before)
	}
}

func TestNewRefusesWhatIsNoName(t *testing.T) {
	for name, o := range map[string]Options{
		"no cluster":   {},
		"a cluster":    {Cluster: "a; flush ruleset"},
		"a port":       {Cluster: "alpha", RouterPorts: []int{70000}},
		"an interface": {Cluster: "alpha", Bridges: []string{`x" accept`}},
	} {
		if _, err := New(o); fault.Of(err).Kind != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingProgramIsAFaultWithAHint(t *testing.T) {
	fence, err := New(Options{Cluster: "alpha", Nft: []string{"no-such-nft"}})
	if err != nil {
		t.Fatal(err)
	}
	if f := fault.Of(fence.Install(t.Context())); f.Kind != fault.Unavailable || !strings.Contains(f.Hint, "nftables") {
		t.Errorf("fault: %+v", f)
	}
}
