package engine

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

func TestMemoryIsWithoutIdleCache(t *testing.T) {
	for name, c := range map[string]struct {
		stats map[string]uint64
		want  int64
	}{
		"version 1":       {map[string]uint64{"inactive_file": 1, "total_inactive_file": 30}, 70},
		"version 2":       {map[string]uint64{"inactive_file": 40}, 60},
		"nothing":         {nil, 100},
		"more than there": {map[string]uint64{"inactive_file": 400}, 0},
	} {
		got := memoryOf(container.MemoryStats{Usage: 100, Limit: 200, Stats: c.stats})
		if got != (Memory{Used: c.want, Limit: 200}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An engine that has no answer for one container does not hold up the others.
func TestTaskMemoryIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1.41/containers/json", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `[{"Id":"aa","Labels":{"com.docker.swarm.task.id":"t1"}},{"Id":"bb","Labels":{"com.docker.swarm.task.id":"t2"}},{"Id":"cc","Labels":{"com.docker.swarm.task.id":"t3"}}]`)
	})
	mux.HandleFunc("GET /v1.41/containers/aa/stats", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("one-shot") != "1" {
			t.Errorf("asked for %v", r.URL.Query())
		}
		io.WriteString(w, `{"memory_stats":{"usage":100,"limit":200,"stats":{"inactive_file":40}}}`)
	})
	mux.HandleFunc("GET /v1.41/containers/bb/stats", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /v1.41/containers/cc/stats", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"memory_stats":{}}`) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	api, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{api: api, cluster: "lab"}
	got, err := e.TaskMemory(ctx, "hello")
	if _, hung := got["t2"]; err != nil || hung || got["t3"] != (Memory{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
