//go:build acceptance

package stories

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// container is what the engine knows of one of an application's containers.
type container struct {
	ID     string `json:"Id"`
	Config struct{ Labels map[string]string }
	State  struct {
		Running  bool
		ExitCode int
	}
	NetworkSettings struct {
		SandboxID string
		Ports     map[string][]struct{ HostPort string }
		Networks  map[string]struct{ IPAddress string }
	}
}

// containersOf are all containers of an application, those that ended too.
func containersOf(t *testing.T, tw *town.Town, app string) []container {
	t.Helper()
	ids, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-aq", "--filter", "label=lain.app="+app)
	if err != nil {
		t.Fatal(err)
	}
	var all []container
	if ids == "" {
		return nil
	}
	out, err := tw.Lab.Docker(t.Context(), "n1", append([]string{"inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// running is the one container of a proc that runs.
func running(t *testing.T, tw *town.Town, app, proc string) container {
	t.Helper()
	all := slices.DeleteFunc(containersOf(t, tw, app), func(c container) bool {
		return !c.State.Running || c.Config.Labels["lain.proc"] != proc
	})
	if len(all) != 1 {
		t.Fatalf("%d containers of %s's %s run, want 1", len(all), app, proc)
	}
	return all[0]
}

// published are the host ports of a container.
func (c container) published() (ports []string) {
	for _, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			ports = append(ports, b.HostPort)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// addresses are those of a container in all its networks, and on the bridge by which it leaves the node, which
// all applications share.
func (c container) addresses(t *testing.T, tw *town.Town) (all []string) {
	t.Helper()
	for _, n := range c.NetworkSettings.Networks {
		all = append(all, n.IPAddress)
	}
	out, err := tw.Lab.Docker(t.Context(), "n1", "network", "inspect", "docker_gwbridge")
	if err != nil {
		t.Fatal(err)
	}
	var bridges []struct {
		Containers map[string]struct{ Name, IPv4Address string }
	}
	if err := json.Unmarshal([]byte(out), &bridges); err != nil || len(bridges) != 1 {
		t.Fatalf("docker_gwbridge: %v %s", err, out)
	}
	for _, e := range bridges[0].Containers {
		if strings.HasPrefix(c.NetworkSettings.SandboxID, strings.TrimPrefix(e.Name, "gateway_")) {
			ip, _, _ := strings.Cut(e.IPv4Address, "/")
			return append(all, ip)
		}
	}
	t.Fatalf("%.12s is not on docker_gwbridge: %s", c.ID, out)
	return nil
}

// fromInside is what a container of the application gets when it dials: "ok", or why not.
func fromInside(tw *town.Town, app *town.App, address string) string {
	code, body, err := tw.Get(app.Host(), "/dial?addr="+url.QueryEscape(address))
	if err != nil || code != 200 {
		return fmt.Sprintf("the story itself failed: %d %v", code, err)
	}
	return strings.TrimSpace(body)
}

// eachAtOnce calls fn for all addresses, some at a time: most of them only end by their deadline.
func eachAtOnce(addresses []string, fn func(string)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, a := range addresses {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			fn(a)
		})
	}
	all.Wait()
}

// nodeAddresses are the IPv4 addresses of the node's own interfaces, but loopback's.
func nodeAddresses(t *testing.T, tw *town.Town) []string {
	t.Helper()
	out, err := tw.Exec(t.Context(), "ip", "-4", "-o", "addr", "show", "up")
	if err != nil {
		t.Fatal(err, out)
	}
	var all []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // 2: eth0 inet 10.77.0.11/24 ...
		if len(f) > 3 && f[1] != "lo" {
			ip, _, _ := strings.Cut(f[3], "/")
			all = append(all, ip)
		}
	}
	return all
}

// listening are the TCP ports that something in the node's own network listens on, whatever the address.
func listening(t *testing.T, tw *town.Town) []string {
	t.Helper()
	out, err := tw.Exec(t.Context(), "ss", "-Hltn")
	if err != nil {
		t.Fatal(err, out)
	}
	var ports []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 3 {
			ports = append(ports, f[3][strings.LastIndexByte(f[3], ':')+1:])
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// platformPorts are those that must not be reached, whether something listens there today or not.
var platformPorts = []string{"2222", "7070", "5000", "2377", "7946", "4789", "2379", "2380", "2375", "2376"}

func TestAContainer_ReachesNoPortOfThePlatform(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "prisoner")
	app.MustPush()
	nodes := nodeAddresses(t, tw)
	if len(nodes) < 2 {
		t.Fatalf("the node has only the addresses %v: where is docker_gwbridge?", nodes)
	}
	open := listening(t, tw)
	for _, want := range []string{"80", "2222", "7070", "5000", "2377", "7946"} {
		if !slices.Contains(open, want) {
			t.Errorf("nothing listens on port %s, so that it is closed proves nothing", want)
		}
	}
	ports := slices.Compact(slices.Sorted(slices.Values(append(open, platformPorts...))))
	var shut []string
	for _, ip := range append(nodes, "127.0.0.1") {
		for _, port := range ports {
			if port != "80" && port != "8080" { // the router's, and on its own loopback the application's
				shut = append(shut, net.JoinHostPort(ip, port))
			}
		}
	}
	eachAtOnce(shut, func(address string) {
		if got := fromInside(tw, app, address); !strings.HasPrefix(got, "error: ") {
			t.Errorf("a container reaches %s: %s", address, got)
		}
	})
	for _, ip := range nodes {
		if got := fromInside(tw, app, net.JoinHostPort(ip, "80")); got != "ok" {
			t.Errorf("a container does not reach the router at %s: %s", ip, got)
		}
	}
}

// withWorker pushes an application of a web proc, and of a worker called backend that answers on 8080 too.
func withWorker(t *testing.T, tw *town.Town, prefix string) *town.App {
	t.Helper()
	app := tw.NewApp(t, prefix)
	app.Manifest("", "worker.backend:", "  cmd: /bin/testapp -version of-"+app.Name, "  port: 8080")
	app.Commit("with a worker")
	app.MustPush()
	return app
}

func TestAContainer_ReachesTheProcsOfItsOwnAppByName(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := withWorker(t, tw, "family")
	withWorker(t, tw, "strangers") // whose backend has the same name
	for _, name := range []string{"backend", "backend-1"} {
		for range 4 { // a name that led to both would show
			code, body, err := tw.Get(app.Host(), "/fetch?url="+url.QueryEscape("http://"+name+":8080/"))
			if want := "200 OK\nof-" + app.Name + "\nbackend-1\n"; code != 200 || body != want {
				t.Fatalf("%s answers web with %q (%d, %v), want %q", name, body, code, err, want)
			}
		}
	}
	if got := fromInside(tw, app, "web-1:8080"); got != "ok" {
		t.Errorf("web does not reach itself as web-1: %s", got)
	}
}

func TestAContainer_ReachesNoOtherApp(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "nosy")
	app.MustPush()
	victim := withWorker(t, tw, "private")
	backend := running(t, tw, victim.Name, "backend")
	service := backend.Config.Labels["com.docker.swarm.service.name"]
	task := backend.Config.Labels["com.docker.swarm.task.name"]
	names := []string{"backend", "backend-1", service, "tasks." + service, task, backend.ID[:12], victim.Name, service + "." + victim.Name}
	var shut []string
	for _, host := range append(names, backend.addresses(t, tw)...) {
		shut = append(shut, net.JoinHostPort(host, "8080"))
	}
	if len(backend.published()) == 0 || service == "" {
		t.Fatalf("the engine does not say where %+v is", backend)
	}
	for _, ip := range nodeAddresses(t, tw) {
		for _, c := range []container{backend, running(t, tw, victim.Name, "web")} {
			for _, port := range c.published() {
				shut = append(shut, net.JoinHostPort(ip, port))
			}
		}
	}
	eachAtOnce(shut, func(address string) {
		if got := fromInside(tw, app, address); !strings.HasPrefix(got, "error: ") {
			t.Errorf("a container reaches another application's %s: %s", address, got)
		}
	})
	for _, address := range shut { // what the application itself reaches
		if host, _, _ := net.SplitHostPort(address); host == "backend" || host == service {
			if got := fromInside(tw, victim, address); got != "ok" {
				t.Errorf("the application does not reach its own %s: %s", address, got)
			}
		}
	}
	// Through the router, as anybody may.
	code, body, err := tw.Get(app.Host(), "/fetch?url="+url.QueryEscape("http://"+tw.IP()+"/"))
	if code != 200 || !strings.HasPrefix(body, "404 ") {
		t.Errorf("the router answers a container with %q (%d, %v)", body, code, err)
	}
}

func TestFromOutside_OnlyRouterAndSSHAreOpen(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := withWorker(t, tw, "hidden")
	for _, port := range []string{"80", fmt.Sprint(town.SSHPort)} {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(tw.IP(), port), 10*time.Second)
		if err != nil {
			t.Errorf("port %s is shut: %v", port, err)
			continue
		}
		_ = c.Close()
	}
	shut := []string{"5000", "2377", "7946"}
	for _, proc := range []string{"web", "backend"} {
		c := running(t, tw, app.Name, proc)
		if len(c.published()) == 0 {
			t.Errorf("%s has no published port", proc)
		}
		shut = append(shut, c.published()...)
	}
	eachAtOnce(shut, func(port string) {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(tw.IP(), port), 2*time.Second); err == nil {
			_ = c.Close()
			t.Errorf("port %s of the node is open to its neighbours", port)
		}
	})
}
