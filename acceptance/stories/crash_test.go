//go:build acceptance

package stories

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// loopTime is how long some containers may take that fail one behind the other, on a machine that is busy with others.
const loopTime = 12 * time.Minute

// need is what an application cannot do without: a service outside the cluster, which can go and come back.
type need struct {
	url    string
	mu     sync.Mutex
	gone   bool
	starts []time.Time // of containers since it went
}

func newNeed(t *testing.T, tw *town.Town) *need {
	t.Helper()
	l, err := net.Listen("tcp", tw.Lab.HostIP()+":0")
	must(t, err)
	n := &need{}
	s := httptest.NewUnstartedServer(n)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	n.url = s.URL + "/"
	return n
}

func (n *need) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone && r.FormValue("at") == "start" {
		n.starts = append(n.starts, time.Now())
	}
	if n.gone {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (n *need) goes() { n.set(true) }
func (n *need) back() { n.set(false) }

func (n *need) set(gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone, n.starts = gone, nil
}

// gaps are the times between the starts of containers since the need went.
func (n *need) gaps() (gaps []time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := 1; i < len(n.starts); i++ {
		gaps = append(gaps, n.starts[i].Sub(n.starts[i-1]).Round(time.Millisecond))
	}
	return gaps
}

// crashing is what ps says of an application's only proc.
type crashing struct {
	Times    int           `json:"times"`
	ExitCode *int          `json:"exit_code"`
	Reason   string        `json:"reason"`
	Delay    time.Duration `json:"delay"`
}

func crashingOf(t *testing.T, tw *town.Town, app *town.App) *crashing {
	t.Helper()
	procs := town.JSON[[]struct {
		Crashing *crashing `json:"crashing"`
	}](t, tw, "ps "+app.Name)
	if len(procs) != 1 {
		t.Fatalf("%d procs", len(procs))
	}
	return procs[0].Crashing
}

// An application that cannot do without something which is gone is tried more and more rarely, everybody who looks is
// told, and it serves again by itself when what it needs is back. A push is as ever, meanwhile and afterwards.
func TestACrashLoopBacksOffAndIsOverByItself(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	need := newNeed(t, tw)
	app := tw.NewApp(t, "needy")
	app.Manifest("-needs "+need.url, "  num_instances: 2")
	first := app.Commit("in need")
	app.MustPush()
	if c := crashingOf(t, tw, app); c != nil {
		t.Errorf("it crashes: %+v", c)
	}

	need.goes()
	app.Eventually("ps says that it crashes", loopTime, func() error {
		if c := crashingOf(t, tw, app); c == nil || c.Delay < 30*time.Second {
			return fmt.Errorf("it says %+v", c)
		}
		return nil
	})
	app.Eventually("tries are far apart", loopTime, func() error {
		for _, gap := range need.gaps() {
			if gap > 10*time.Second {
				return nil
			}
		}
		return fmt.Errorf("they are %v", need.gaps())
	})
	t.Logf("from start to start: %v", need.gaps())
	if c := crashingOf(t, tw, app); c == nil || c.ExitCode == nil || *c.ExitCode != 4 || c.Reason != "ended with exit code 4" {
		t.Errorf("ps says %+v", c)
	}
	for _, verb := range []string{"ps ", "info "} {
		if out := tw.Verb(t, verb+app.Name); !strings.Contains(out, "web is crashing: ended with exit code 4, ") || !strings.Contains(out, "See why: logs "+app.Name+" -p web") {
			t.Errorf("%s says\n%s", verb, out)
		}
	}
	if out := tw.Verb(t, "logs "+app.Name+" -p web"); !strings.Contains(out, "cannot start") {
		t.Errorf("the logs say\n%s", out)
	}

	app.Change("two")
	app.Push().Refused(t, "web ended with exit code 4") // it needs the same, and fails as fast as ever
	need.back()
	servesByItself(t, tw, app, "one")
	app.Truth(first, "one")
	third := app.Change("three")
	app.MustPush()
	app.Truth(third, "three")
}

// servesByItself waits until an application serves, and ps says nothing any more.
func servesByItself(t *testing.T, tw *town.Town, app *town.App, version string) {
	t.Helper()
	begin := time.Now()
	app.Eventually("it serves again", loopTime, func() error {
		got, err := app.Version()
		if err == nil && got != version {
			err = fmt.Errorf("it answers %q", got)
		}
		return err
	})
	t.Logf("it serves again after %s", time.Since(begin).Round(time.Second))
	app.Eventually("ps says nothing any more", loopTime, func() error {
		if c := crashingOf(t, tw, app); c != nil {
			return fmt.Errorf("it says %+v", *c)
		}
		return nil
	})
}
