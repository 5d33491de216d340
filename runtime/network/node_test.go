package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lain.internal/lain/lain"
)

// namespace is a network namespace that lives as long as the test.
type namespace struct{ file *os.File }

// newNamespace makes one with loopback up. The tests of this package need root, as Lain does.
func newNamespace(t *testing.T) namespace {
	t.Helper()
	var ns namespace
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace (are you root?): %w", err)
		}
		ns.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.file.Close() })
	ns.do(t, func() error {
		// Without a search for duplicates an address may be used at once.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return ns
}

// onThread runs fn, which may change its thread's namespace, and brings the thread home: it may be the
// process's first, whose namespace is what /proc/self shows.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = home.Close() }()
		err = fn()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			done <- errors.Join(err, back)
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// in runs fn inside the namespace; sockets opened there stay there.
func (n namespace) in(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	})
}

func (n namespace) do(t *testing.T, fn func() error) {
	t.Helper()
	if err := n.in(fn); err != nil {
		t.Fatal(err)
	}
}

// nft is the argv that runs nft in the namespace.
func (n namespace) nft() nft {
	return nft{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.file.Fd()), "--", "nft"}
}

// configure gives a link its addresses and sets it up.
func configure(link netlink.Link, addresses ...string) error {
	for _, address := range addresses {
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// plug joins far to near by a cable: eth0 in far with the addresses, name in near, on the bridge if not nil.
func plug(near, far namespace, name string, bridge netlink.Link, nearAddresses, farAddresses []string) error {
	err := near.in(func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(far.file.Fd())}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		if bridge != nil {
			if err := errors.Join(netlink.LinkSetMaster(veth, bridge), netlink.LinkSetHairpin(veth, true)); err != nil {
				return err
			}
		}
		return configure(veth, nearAddresses...)
	})
	if err != nil {
		return err
	}
	return far.in(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return configure(eth0, farAddresses...)
	})
}

// The addresses of the toy node.
const (
	nodeLAN4, nodeLAN6   = "10.99.0.11", "fd99::11"
	gateway4, gateway6   = "172.31.0.1", "fd31::1"
	appA4, appA6         = "172.31.0.2", "fd31::2"
	appB4                = "172.31.0.3"
	outside4, outside6   = "10.99.0.1", "fd99::1"
	publishedB           = 32768
	routerPort, sshPort  = 80, 2222
	otherRouter, dnsPort = 8080, 53
)

// toyNode is a node without an engine: a bridge with two containers, a neighbour outside, and the engine's
// address translation of one published port of app B.
type toyNode struct{ node, appA, appB, outside namespace }

func newToyNode(t *testing.T) toyNode {
	t.Helper()
	n := toyNode{newNamespace(t), newNamespace(t), newNamespace(t), newNamespace(t)}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "docker_gwbridge"}}
	n.node.do(t, func() error {
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		return configure(bridge, gateway4+"/24", gateway6+"/64")
	})
	for _, err := range []error{
		plug(n.node, n.appA, "vethA", bridge, nil, []string{appA4 + "/24", appA6 + "/64"}),
		plug(n.node, n.appB, "vethB", bridge, nil, []string{appB4 + "/24"}),
		plug(n.node, n.outside, "eth0", nil, []string{nodeLAN4 + "/24", nodeLAN6 + "/64"}, []string{outside4 + "/24", outside6 + "/64"}),
		n.appA.in(func() error { return defaultRoute(gateway4, gateway6) }),
		n.appB.in(func() error { return defaultRoute(gateway4) }),
		n.outside.in(func() error { return defaultRoute(nodeLAN4) }),
		n.node.in(forwardPackets),
		n.node.nft().load(t.Context(), engineTable),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	n.serve(t)
	return n
}

// engineTable publishes B's port 8080 as the engine does; its proxy, for loopback, is an echo on the node.
const engineTable = `table ip engine {
	chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport 32768 dnat to 172.31.0.3:8080; }
	chain out { type nat hook output priority -100; ip daddr != 127.0.0.0/8 fib daddr type local tcp dport 32768 dnat to 172.31.0.3:8080; }
	chain post { type nat hook postrouting priority 100; oifname "docker_gwbridge" ip saddr 172.31.0.0/24 masquerade; }
}`

// forwardPackets writes in the calling thread's namespace, which /proc/sys follows.
func forwardPackets() error {
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func defaultRoute(gateways ...string) error {
	for _, gateway := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
			return err
		}
	}
	return nil
}

// serve opens an echo on every port of the node and on app B's.
func (n toyNode) serve(t *testing.T) {
	t.Helper()
	for _, port := range []int{routerPort, otherRouter, sshPort, dnsPort, publishedB} {
		echo(t, n.node, port)
	}
	echo(t, n.appB, 8080)
	echo(t, n.outside, sshPort)
	echo(t, n.outside, routerPort)
}

// echo answers TCP connections and UDP packets until the test ends.
func echo(t *testing.T, ns namespace, port int) {
	t.Helper()
	address := ":" + strconv.Itoa(port)
	var listener net.Listener
	var packets net.PacketConn
	ns.do(t, func() (err error) {
		if listener, err = net.Listen("tcp", address); err != nil {
			return err
		}
		packets, err = net.ListenPacket("udp", address)
		return err
	})
	t.Cleanup(func() { _ = listener.Close(); _ = packets.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			count, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(buf[:count], from)
		}
	}()
}

// reaches reports whether a message to the address comes back within the time.
func (n namespace) reaches(network, host string, port int) bool {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	return n.in(func() error {
		conn, err := (&net.Dialer{Timeout: patience}).Dial(network, address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		return hello(conn)
	}) == nil
}

// patience is how long a packet may take within one machine; what is dropped costs all of it.
const patience = 700 * time.Millisecond

func hello(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 5))
	return err
}

func newFence(t *testing.T, node namespace, cluster lain.Cluster, routerPorts ...int) *Fence {
	t.Helper()
	fence, err := New(Options{Cluster: cluster, RouterPorts: routerPorts, Nft: node.nft(), Every: 20 * time.Millisecond,
		Addresses: []netip.Addr{netip.MustParseAddr(nodeLAN4)}})
	if err != nil {
		t.Fatal(err)
	}
	return fence
}

func install(t *testing.T, f *Fence) {
	t.Helper()
	if err := f.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok; the deadline is there to end a broken test.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func tables(t *testing.T, node namespace) string {
	t.Helper()
	out, err := node.nft().run(context.WithoutCancel(t.Context()), "", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}
