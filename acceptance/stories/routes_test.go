//go:build acceptance

package stories

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"lain.internal/lain/acceptance/town"
)

// answers checks status and body of a path.
func answers(t *testing.T, tw *town.Town, host, path string, code int, part string) {
	t.Helper()
	got, body, err := tw.Get(host, path)
	if err != nil || got != code || !strings.Contains(body, part) {
		t.Errorf("http://%s%s answers %d %q (%v), want %d with %q", host, path, got, body, err, code, part)
	}
}

func TestMountpoints_HostsPathsAndPrefixes(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "mounts")
	custom := "www." + app.Name + ".example.com"
	app.Manifest("", "  mountpoint: ["+custom+", "+custom+"/deep/er]",
		"web.api:", "  cmd: /bin/testapp -version api", "  port: 9000", "  mountpoint: [/api, "+custom+"/api, only.api."+app.Name+".test]")
	app.Commit("with mountpoints")
	app.MustPush()
	for _, host := range []string{app.Host(), custom} {
		answers(t, tw, host, "/", 200, "one\nweb-1\n")
		answers(t, tw, host, "/healthz", 200, "ok")
		answers(t, tw, host, "/api/", 200, "api\napi-1\n") // the prefix is taken off: the application serves at /
		answers(t, tw, host, "/api/healthz", 200, "ok")
		answers(t, tw, host, "/api/env?k=PORT", 200, "9000")
		answers(t, tw, host, "/apis", 404, "404 page not found") // another path than /api, so web's
	}
	answers(t, tw, custom, "/deep/er/", 200, "one")
	answers(t, tw, "only.api."+app.Name+".test", "/", 200, "api")
	answers(t, tw, strings.ToUpper(custom)+":80", "/", 200, "one")
}

func TestAnUnknownHost_GetsAPage(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "known")
	app.MustPush()
	for _, host := range []string{"nobody.lain.localhost", tw.IP(), "x." + app.Host(), "-", strings.Repeat("a", 250)} {
		answers(t, tw, host, "/", 404, "No application here")
	}
}

func TestAHostOfAnotherApp_IsRefusedByItsLine(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	owner := tw.NewApp(t, "owner")
	custom := owner.Name + ".example.com"
	owner.Manifest("", "  mountpoint: ["+custom+"]")
	owner.Commit("with a host")
	owner.MustPush()
	for _, host := range []string{custom, custom + "/path", owner.Host(), "not-yet-there.lain.localhost", "lain.localhost"} {
		thief := tw.NewApp(t, "thief")
		thief.Manifest("", "  mountpoint: ["+host+"]")
		thief.Commit("with another's host")
		name, _, _ := strings.Cut(host, "/")
		refusedAtTheDoor(t, tw, thief, thief.Push(), name, "lain.yaml:", ">>>", "Choose another mountpoint")
	}
	answers(t, tw, custom, "/", 200, "one")
}

func TestHTTPSOnlyWithoutACertificate_IsRefused(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "secure")
	app.Manifest("", "  https_only: true")
	app.Commit("https only")
	refusedAtTheDoor(t, tw, app, app.Push(), "web is https_only: https is switched off on this server", app.Host(), "lain.yaml:", "Remove https_only")
}

func TestAWebsocket_PassesTheRouter(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "socket")
	app.Manifest("", "web.sub:", "  cmd: /bin/testapp", "  port: 8080", "  mountpoint: [/sub]")
	app.Commit("with a path")
	app.MustPush()
	for _, path := range []string{"/ws", "/sub/ws"} {
		c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+tw.IP()+path, http.Header{"Host": {app.Host()}})
		if err != nil {
			t.Fatalf("%s: %v %v", path, err, resp)
		}
		for _, said := range []string{"hello", strings.Repeat("long", 50_000)} {
			err := c.WriteMessage(websocket.TextMessage, []byte(said))
			_, heard, readErr := c.ReadMessage()
			if err := errors.Join(err, readErr); err != nil || string(heard) != said {
				t.Errorf("%s: %d bytes came back as %d: %v", path, len(said), len(heard), err)
			}
		}
		_ = c.Close()
	}
}

func TestAccessLog_SaysWhichAppProcAndStatus(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "logged")
	app.Manifest("", "web.api:", "  cmd: /bin/testapp", "  port: 8080", "  mountpoint: [/api]")
	app.Commit("with a path")
	app.MustPush()
	odd := `/no"such\path?q="` + app.Name
	for _, path := range []string{"/", "/api/healthz", "/missing?" + app.Name} {
		if _, _, err := tw.Get(app.Host(), path); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := tw.Exec(t.Context(), "curl", "-sg", "-o", "/dev/null", "-H", "Host: "+app.Host(), "-A", `"} evil`, "http://"+tw.IP()+odd); err != nil {
		t.Fatal(err, out)
	}
	want := map[string]string{"/": "web 200", "/api/healthz": "api 200", "/missing?" + app.Name: "web 404", odd: "web 404"}
	app.Eventually("each request has its line", 3*time.Minute, func() error {
		got := map[string]string{}
		for _, line := range accessLog(t, tw) {
			if line.App == app.Name {
				got[line.URI] = fmt.Sprint(line.Proc, " ", line.Status)
			}
		}
		for uri, w := range want {
			if got[uri] != w {
				return fmt.Errorf("%s is logged as %q, want %q", uri, got[uri], w)
			}
		}
		return nil
	})
}

// logLine is a line of the access log.
type logLine struct {
	App, Proc, URI, Host, Client string
	Status                       int
}

// accessLog reads the log; every whole line must be JSON.
func accessLog(t *testing.T, tw *town.Town) (lines []logLine) {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(tw.Data(), "router", "logs", "access.log"))
	if len(paths) != 1 {
		t.Fatalf("the access log is among %v", paths)
	}
	out, err := tw.Exec(t.Context(), "cat", paths[0])
	if err != nil {
		t.Fatal(err, out)
	}
	for text := range strings.Lines(out) {
		var l logLine
		if err := json.Unmarshal([]byte(text), &l); err != nil && strings.HasSuffix(text, "\n") {
			t.Fatalf("%v in %q", err, text)
		}
		lines = append(lines, l)
	}
	return lines
}

// hosts are the instances that answer, asked n times.
func hosts(tw *town.Town, app *town.App, n int) ([]string, error) {
	var seen []string
	for range n {
		code, body, err := tw.Get(app.Host(), "/")
		if err != nil || code != 200 {
			return seen, fmt.Errorf("%d %q %v", code, body, err)
		}
		_, host, _ := strings.Cut(strings.TrimSpace(body), "\n")
		seen = append(seen, host)
	}
	slices.Sort(seen)
	return slices.Compact(seen), nil
}

func TestSeveralInstances_ShareTheLoad(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "three")
	app.Manifest("", "  num_instances: 3")
	app.Commit("three")
	app.MustPush()
	want := []string{"web-1", "web-2", "web-3"}
	app.Eventually("all three answer", 3*time.Minute, func() error {
		if seen, err := hosts(tw, app, 12); err != nil || !slices.Equal(seen, want) {
			return fmt.Errorf("%v answer (%v)", seen, err)
		}
		return nil
	})
	app.Manifest("", "  num_instances: 1")
	app.Commit("one")
	app.MustPush()
	if seen, err := hosts(tw, app, 12); err != nil || len(seen) != 1 {
		t.Errorf("after it shrank to one, %v answer (%v)", seen, err)
	}
}

// instances are the rows of ps that name a proc.
func instances(t *testing.T, tw *town.Town, app, proc string) (n int) {
	t.Helper()
	for _, p := range town.JSON[[]struct {
		Proc      string
		Instances []struct{ State string }
	}](t, tw, "ps "+app) {
		if p.Proc != proc {
			continue
		}
		for _, i := range p.Instances {
			if i.State == "running" {
				n++
			}
		}
	}
	return n
}

func TestNoInstances_IsAnAnswerToo(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "none")
	app.Manifest("", "worker.idle:", "  cmd: /bin/testapp -worker", "  num_instances: 0")
	app.Commit("an idle worker")
	app.MustPush()
	app.Serves("one")
	if n := instances(t, tw, app.Name, "idle"); n != 0 {
		t.Errorf("%d instances of idle run", n)
	}
	app.Manifest("", "  num_instances: 0")
	app.Commit("nobody at all")
	app.MustPush()
	app.Eventually("nobody answers", 3*time.Minute, func() error {
		if code, body, err := tw.Get(app.Host(), "/"); code != 503 || !strings.Contains(body, "Not available") {
			return fmt.Errorf("%d %q %v", code, body, err)
		}
		return nil
	})
	app.Manifest("")
	app.Commit("back")
	app.MustPush()
	app.Serves("one")
}

func TestAWorkerWithoutAPort_RunsAndDisappearsWithItsSection(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "ticker")
	app.Manifest("", "worker.clock:", "  cmd: /bin/testapp -worker -version tock")
	app.Commit("with a worker")
	app.MustPush()
	if n := instances(t, tw, app.Name, "clock"); n != 1 {
		t.Errorf("%d instances of clock run, want 1", n)
	}
	app.Eventually("the worker works", 3*time.Minute, func() error {
		if out := tw.Verb(t, "logs "+app.Name); !strings.Contains(out, "tick 1 of tock") {
			return fmt.Errorf("the log lacks its ticks:\n%s", out)
		}
		return nil
	})
	app.Manifest("")
	app.Commit("without it")
	app.MustPush()
	app.Eventually("the worker is gone", 3*time.Minute, func() error {
		if out := tw.Verb(t, "ps "+app.Name); strings.Contains(out, "clock") {
			return fmt.Errorf("ps says:\n%s", out)
		}
		out, err := tw.Lab.Docker(t.Context(), "n1", "service", "ls", "--filter", "label=lain.app="+app.Name, "--format", "{{.Name}}")
		if err != nil || strings.Contains(out, "clock") || !strings.Contains(out, "web") {
			return fmt.Errorf("the engine has %q (%v)", out, err)
		}
		return nil
	})
	app.Serves("one")
}

func TestAProc_ChangesItsNameAndItsType(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "actor")
	push := func(lines ...string) {
		t.Helper()
		app.Manifest("", lines...)
		app.Commit(strings.Join(lines, " "))
		app.MustPush()
		app.Serves("one")
	}
	push("worker.api:", "  cmd: /bin/testapp -worker")
	answers(t, tw, app.Host(), "/api/", 404, "404 page not found") // web's own
	push("web.api:", "  cmd: /bin/testapp -version retyped", "  port: 8080", "  mountpoint: [/api]")
	answers(t, tw, app.Host(), "/api/", 200, "retyped\napi-1\n")
	push("web.front:", "  cmd: /bin/testapp -version renamed", "  port: 8080", "  mountpoint: [/api]")
	answers(t, tw, app.Host(), "/api/", 200, "renamed\nfront-1\n")
	app.Eventually("what it was called before is gone", 3*time.Minute, func() error {
		if out := tw.Verb(t, "ps "+app.Name); strings.Contains(out, "api") {
			return fmt.Errorf("ps says:\n%s", out)
		}
		return nil
	})
	push("worker.front:", "  cmd: /bin/testapp -worker")
	answers(t, tw, app.Host(), "/api/", 404, "404 page not found")
	app.Eventually("only the worker runs", 3*time.Minute, func() error {
		if n := instances(t, tw, app.Name, "front"); n != 1 {
			return fmt.Errorf("%d instances of front run", n)
		}
		return nil
	})
}

// Requests of three seconds begin all the time, and a redeploy ends in their midst.
func TestARedeploy_LetsRequestsInFlightFinish(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "patient")
	app.Manifest("", "  kill_timeout: 20", "worker.slow:", "  kill_timeout: 40",
		`  cmd: [/bin/sh, -c, "trap 'echo asked to end; sleep 15; echo ended by itself; exit 0' TERM; echo up; while :; do sleep 1 & wait $!; done"]`)
	app.Commit("patient")
	app.MustPush()
	web, worker := running(t, tw, app.Name, "web"), running(t, tw, app.Name, "slow")

	stop, failed := make(chan struct{}), make(chan string, 1000)
	var asking sync.WaitGroup
	asking.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			asking.Go(func() {
				if code, body, err := tw.Get(app.Host(), "/slow?ms=3000"); err != nil || code != 200 {
					failed <- fmt.Sprintf("%d %q %v", code, body, err)
				}
			})
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	app.Manifest("", "  kill_timeout: 20")
	commit := app.Change("two")
	app.MustPush()
	close(stop)
	asking.Wait()
	close(failed)
	for f := range failed {
		t.Errorf("a request of three seconds was lost: %s", f)
	}
	app.Truth(commit, "two")
	// The worker takes longer than the engine's own ten seconds, and is given them.
	app.Eventually("both ended by themselves", 3*time.Minute, func() error {
		for _, c := range containersOf(t, tw, app.Name) {
			if c.ID != web.ID && c.ID != worker.ID {
				continue
			}
			if c.State.Running {
				return fmt.Errorf("%.12s still runs", c.ID)
			}
			if c.State.ExitCode != 0 {
				return fmt.Errorf("%w: %s ended with %d", town.ErrNever, c.Config.Labels["lain.proc"], c.State.ExitCode)
			}
		}
		return nil
	})
}
