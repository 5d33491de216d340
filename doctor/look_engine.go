package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds what is read of the engine's answers, in bytes.
const maxAnswer = 4 << 20

// lookEngine asks the engine for its version and its swarm, and reads the environment of its process.
func lookEngine(ctx context.Context, o Options) engine {
	e := engine{host: o.DockerHost}
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	var said struct{ Version, APIVersion string } // the engine spells it ApiVersion: names match in any case
	if e.err = getJSON(ctx, o.DockerHost, "/version", &said); e.err != nil {
		return e
	}
	e.version, e.api = said.Version, said.APIVersion
	var info struct {
		Swarm struct {
			Cluster *struct{ DefaultAddrPool []string }
		}
	}
	if err := getJSON(ctx, o.DockerHost, "/info", &info); err == nil && info.Swarm.Cluster != nil {
		e.pool = poolOf(info.Swarm.Cluster.DefaultAddrPool)
	}
	e.stepLog, e.envErr = stepLogLimit(ctx, o.DockerHost)
	return e
}

// poolOf is the first range of a swarm; one that was told none has the default.
func poolOf(pools []string) netip.Prefix {
	for _, text := range pools {
		if pool, err := netip.ParsePrefix(text); err == nil {
			return pool
		}
	}
	return defaultPool
}

func getJSON(ctx context.Context, host, path string, into any) error {
	network, address, ok := strings.Cut(host, "://")
	if !ok || (network != "unix" && network != "tcp") {
		return fmt.Errorf("%q is not an engine's address: unix:///PATH or tcp://HOST:PORT", host)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into)
}

// stepLogVariable is obeyed from dockerd's environment and nowhere else.
const stepLogVariable = "BUILDKIT_STEP_LOG_MAX_SIZE"

var errNoProcess = errors.New("its process is not found on this machine")

func stepLogLimit(ctx context.Context, host string) (string, error) {
	pid, err := enginePID(ctx, host)
	if err != nil {
		return "", err
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", err
	}
	return variable(string(environ), stepLogVariable), nil
}

func variable(environ, name string) string {
	for pair := range strings.SplitSeq(environ, "\x00") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// enginePID is who listens on the engine's socket. Where that is another process than dockerd (systemd opens
// sockets for others), the only dockerd there is.
func enginePID(ctx context.Context, host string) (int, error) {
	if path, ok := strings.CutPrefix(host, "unix://"); ok {
		if pid := listenerOf(ctx, path); pid > 0 && commandOf(pid) == "dockerd" {
			return pid, nil
		}
	}
	var found []int
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && commandOf(pid) == "dockerd" {
			found = append(found, pid)
		}
	}
	if len(found) != 1 {
		return 0, errNoProcess
	}
	return found[0], nil
}

func listenerOf(ctx context.Context, path string) int {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

func commandOf(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}
