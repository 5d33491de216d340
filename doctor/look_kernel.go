package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func isRoot() bool { return os.Geteuid() == 0 }

var errAbsent = errors.New("the kernel does not have it")

// trialTable uses what the fence of a node uses.
const trialTable = `table inet lain_trial {
	set ports { type inet_service; elements = { 80, 443 }; }
	chain trial {
		type filter hook prerouting priority -180; policy accept;
		fib daddr type local meta l4proto { tcp, udp } ct original proto-dst @ports meta mark set meta mark | 0x10000000
	}
}
`

func lookKernel(ctx context.Context, o Options) kernel {
	k := kernel{overlay: hasFilesystem("overlay"), memoryCgroup: hasMemoryCgroup()}
	if err := inTrialNamespace(func() { k.tryNetwork(ctx, o) }); err != nil {
		k.bridge, k.veth, k.vxlan, k.nft = err, err, err, err
	}
	return k
}

// inTrialNamespace runs fn on a thread that is in a new network namespace meanwhile. The thread goes back
// where it came from: it may be the process's first, whose namespace is what /proc/self shows. One that
// cannot go back is never used again.
func inTrialNamespace(fn func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := visit(fn)
		if err == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// visit is for a locked thread.
func visit(fn func()) error {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	fn()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leave the trial namespace: %w", err)
	}
	return nil
}

// tryNetwork makes one of each link, and a table, in the calling thread's namespace.
func (k *kernel) tryNetwork(ctx context.Context, o Options) {
	k.bridge = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "trial0"}})
	k.veth = netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "trial1"}, PeerName: "trial2"})
	k.vxlan = netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "trial3"}, VxlanId: 4096, Port: 4789})
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nft", "-f", "-") // born in this thread's namespace
	cmd.Stdin = strings.NewReader(trialTable)
	if out, err := cmd.CombinedOutput(); err != nil {
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		k.nft = fmt.Errorf("%w: %s", err, line)
	}
}

// hasFilesystem takes one that is loaded, or that a module could bring.
func hasFilesystem(name string) error {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(known)), name) || hasModule(name) {
		return nil
	}
	return errAbsent
}

func hasModule(name string) bool {
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return false
	}
	index, err := os.Open("/lib/modules/" + unix.ByteSliceToString(uts.Release[:]) + "/modules.dep")
	if err != nil {
		return false
	}
	defer func() { _ = index.Close() }()
	for lines := bufio.NewScanner(index); lines.Scan(); {
		if file, _, _ := strings.Cut(lines.Text(), ":"); strings.Contains(file, "/"+name+".ko") {
			return true
		}
	}
	return false
}

func hasMemoryCgroup() error {
	if unified, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil &&
		slices.Contains(strings.Fields(string(unified)), "memory") {
		return nil
	}
	table, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return err
	}
	return memoryEnabled(string(table))
}

// memoryEnabled reads /proc/cgroups: name, hierarchy, number, enabled.
func memoryEnabled(table string) error {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) == 4 && fields[0] == "memory" && fields[3] == "1" {
			return nil
		}
	}
	return errAbsent
}
