//go:build acceptance

package stories

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/load"
	"lain.internal/lain/acceptance/town"
)

// rounds is how often each thing is done: LAIN_ROUNDS, or a number that keeps the story short.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LAIN_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// Requests of all classes go on through everything that replaces instances, the router's configuration or the server: GETs
// over new and over kept connections, POSTs of 1 MB, websockets, answers that are streamed for a minute, and calls of gRPC.
func TestClasses_LoseNothing(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{Args: []string{"--router-http2-addr", ":81"}})
	app := tw.NewApp(t, "classes")
	app.Manifest("-drain 60s", "  num_instances: 2", "  kill_timeout: 60")
	app.Commit("with time to drain")
	app.MustPush()
	l := app.Load(load.Options{Rate: 200, PostEvery: 50, Sockets: 2, Streams: 2, Callers: 2, CallEvery: 10 * time.Millisecond, CallAddr: tw.IP() + ":81"})
	answered(t, l, 200)
	n := rounds(t)
	for i := range 2 * n {
		app.Change(fmt.Sprintf("v%d", i))
		app.MustPush()
	}
	for i := range 2 * n {
		tw.Verb(t, fmt.Sprintf("scale %s web=%d", app.Name, 3-i%2))
	}
	for range n {
		tw.Verb(t, "rollback "+app.Name)
	}
	for i := range n {
		if r := tw.SSHAs(t, tw.Key, "config set "+app.Name+" ROUND", strings.NewReader(fmt.Sprint(i))); r.Code != 0 {
			t.Errorf("config set: exit %d\n%s", r.Code, r.All())
		}
	}
	other := tw.NewApp(t, "reloads")
	for i := range n {
		other.Change(fmt.Sprint(i))
		other.MustPush()
	}
	must(t, tw.Stop())
	must(t, tw.Start(t.Context()))
	answered(t, l, 200)
	r := app.NoneLost(l)
	if r.Sockets.OK == 0 || r.Streams.OK < 2 || r.Calls.OK < 1000 {
		t.Errorf("not all classes were there:\n%s", r)
	}
}
