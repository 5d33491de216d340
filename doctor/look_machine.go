package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func tryListen(ctx context.Context, address string) listen {
	l := listen{address: address}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		_ = listener.Close()
		return l
	}
	l.err = err
	if _, port, err := net.SplitHostPort(address); err == nil && errors.Is(l.err, unix.EADDRINUSE) {
		l.holder = holderOf(port)
	}
	return l
}

// holderOf names the process that listens on a TCP port, "" if it cannot be found.
func holderOf(port string) string {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listenerInode(table, uint16(number)); inode != "" {
			return ownerOf("socket:[" + inode + "]")
		}
	}
	return ""
}

// listenerInode reads a table of /proc/net: local address in column 1, state in 3 (0A: listens), inode in 9.
func listenerInode(table string, port uint16) string {
	file, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			return fields[9]
		}
	}
	return ""
}

func ownerOf(socket string) string {
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && to == socket {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			return fmt.Sprintf("%s (pid %d)", commandOf(pid), pid)
		}
	}
	return ""
}

// lookSpace measures the file system that dir is on, or will be.
func lookSpace(dir string) space {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return space{freeBytes: st.Bavail * uint64(st.Bsize), freeInodes: st.Ffree, noInodes: st.Files == 0}
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, unix.ENOENT) || parent == dir {
			return space{err: fmt.Errorf("look at %s: %w", dir, err)}
		}
		dir = parent
	}
}

// lookRoutes lists where this machine sends IPv4 packets, but for the default route and the engine's bridges.
func lookRoutes() ([]route, error) {
	all, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the routes: %w", err)
	}
	var routes []route
	for _, one := range all {
		if one.Dst == nil {
			continue
		}
		address, _ := netip.AddrFromSlice(one.Dst.IP.To4())
		bits, _ := one.Dst.Mask.Size()
		device := deviceName(one.LinkIndex)
		if prefix := netip.PrefixFrom(address, bits); bits > 0 && !ofEngine(device) {
			routes = append(routes, route{prefix: prefix, device: device})
		}
	}
	return routes, nil
}

func deviceName(index int) string {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return "?"
	}
	return link.Attrs().Name
}

// ofEngine: the engine itself keeps its networks apart.
func ofEngine(device string) bool {
	return device == "docker0" || device == "docker_gwbridge" || strings.HasPrefix(device, "br-")
}

func lookClock() clock {
	var t unix.Timex // modes 0: look, change nothing
	state, err := unix.Adjtimex(&t)
	return clock{unsynchronised: state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0, err: err}
}
