package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/client"
)

// The actions and attributes are those that engine 20.10.24 gave for a health probe and for its container.
func TestEventOf(t *testing.T) {
	labels := func(more ...string) map[string]string {
		all := map[string]string{"lain.app": "hello", "lain.proc": "web"}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	for name, c := range map[string]struct {
		action     string
		attributes map[string]string
		want       Event
	}{
		"it ends well":                        {"exec_die", labels("execID", "e1", "exitCode", "0"), Event{Kind: ExecEnded, Exec: "e1"}},
		"it fails":                            {"exec_die", labels("execID", "e1", "exitCode", "1"), Event{Kind: ExecEnded, Exec: "e1", ExitCode: 1}},
		"nobody knows how it ended":           {"exec_die", labels("execID", "e1"), Event{}},
		"the container ends":                  {"die", labels("exitCode", "137"), Event{Kind: ContainerDied, ExitCode: 137}},
		"a command begins":                    {"exec_start: /lain/helper probe", labels("execID", "e1"), Event{}},
		"a new engine's word, not asked for":  {"die_hard", labels(), Event{}},
		"the engine's own word on the health": {"health_status: healthy", labels(), Event{}},
	} {
		want := c.want
		if want.Kind != "" {
			want.Container, want.Labels = "c1", c.attributes
		}
		m := events.Message{Action: events.Action(c.action), Actor: events.Actor{ID: "c1", Attributes: c.attributes}}
		if got, ok := eventOf(m); ok != (want.Kind != "") || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, ok, want)
		}
	}
}

// probeEvent is what an engine sends of one probe of a service's container.
func probeEvent() []byte {
	const id = "122821522fd1075169262f5dbbeddffe57bff16b4aadbdd1467c362e6bb7a4b2"
	attributes := map[string]string{
		"com.docker.swarm.node.id": id[:25], "com.docker.swarm.service.id": id[:25], "com.docker.swarm.service.name": "lain_hello_web",
		"com.docker.swarm.task": "", "com.docker.swarm.task.id": id[:25], "com.docker.swarm.task.name": "lain_hello_web.1." + id[:25],
		"image": "127.0.0.1:5000/hello@sha256:" + id, "name": "lain_hello_web.1." + id[:25],
		"lain.app": "hello", "lain.cluster": "lain", "lain.proc": "web", "lain.spec": id[:24], "execID": id, "exitCode": "0",
	}
	line, _ := json.Marshal(events.Message{Type: "container", Action: "exec_die", Actor: events.Actor{ID: id, Attributes: attributes},
		Scope: "local", Time: 1795672804, TimeNano: 1795672804672104000})
	return append(line, '\n')
}

// teller is an engine that tells of an event n times and then ends.
func teller(tb testing.TB, n int, line []byte, asked func(*http.Request)) *Engine {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked(r)
		for range n {
			_, _ = w.Write(line)
		}
	}))
	tb.Cleanup(server.Close)
	api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		tb.Fatal(err)
	}
	return &Engine{api: api, cluster: "lab"}
}

func TestEventsAreTold(t *testing.T) {
	var asked *http.Request
	e := teller(t, 2, probeEvent(), func(r *http.Request) { asked = r })
	var told []string
	opened := func() error { told = append(told, "opened"); return nil }
	err := e.Events(t.Context(), time.Unix(7, 5), opened, func(v Event) { told = append(told, string(v.Kind)) })
	want := []string{"opened", "exec ended", "exec ended"}
	if !errors.Is(err, io.EOF) || !reflect.DeepEqual(told, want) {
		t.Errorf("told %q and %v, want %q", told, err, want)
	}
	query := asked.URL.Query()
	if query.Get("since") != "7.000000005" || !strings.Contains(query.Get("filters"), `"lain.cluster=lab"`) || !strings.Contains(query.Get("filters"), `"exec_die"`) {
		t.Errorf("asked for %v", query)
	}
	refusal := errors.New("no")
	err = e.Events(t.Context(), time.Time{}, func() error { return refusal }, func(Event) { t.Error("told although it was refused") })
	if !errors.Is(err, refusal) {
		t.Error(err)
	}
}

func TestExecCommand(t *testing.T) {
	answer := []byte(`{"ID":"e1","Running":false,"ExitCode":1,"ProcessConfig":{"tty":false,"entrypoint":"/lain/helper","arguments":["probe","--alive"]}}`)
	var path string
	e := teller(t, 1, answer, func(r *http.Request) { path = r.URL.Path })
	if got, err := e.ExecCommand(t.Context(), "e1"); err != nil || !reflect.DeepEqual(got, []string{"/lain/helper", "probe", "--alive"}) || path != "/v1.41/exec/e1/json" {
		t.Errorf("%q, %v, asked for %s", got, err, path)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.ExecCommand(ctx, "e1"); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
}

// One operation is one probe.
func BenchmarkEvents(b *testing.B) {
	e := teller(b, b.N, probeEvent(), func(*http.Request) {})
	n := 0
	err := e.Events(b.Context(), time.Time{}, func() error { return nil }, func(Event) { n++ })
	if n != b.N {
		b.Fatal(fmt.Sprint(n), err)
	}
}
