package load

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Result is the count. Sent = OK + Lost once the load has stopped.
type Result struct {
	Sent     int            `json:"sent"`
	OK       int            `json:"ok"`
	Lost     int            `json:"lost"`
	Reasons  map[string]int `json:"reasons,omitempty"` // why lost; websockets' too
	P50      time.Duration  `json:"p50_ns"`            // of answered requests
	P99      time.Duration  `json:"p99_ns"`
	Max      time.Duration  `json:"max_ns"`
	Versions map[string]int `json:"versions,omitempty"` // first line of GETs' answers
	Sockets  SocketResult   `json:"sockets"`
	Streams  StreamResult   `json:"streams"`
	Calls    CallResult     `json:"calls"`
}

// StreamResult counts streamed answers that have ended.
type StreamResult struct {
	OK   int `json:"ok"`   // came whole
	Lost int `json:"lost"` // did not
}

// CallResult counts calls of gRPC.
type CallResult struct {
	Sent int           `json:"sent"`
	OK   int           `json:"ok"`
	Lost int           `json:"lost"`
	Max  time.Duration `json:"max_ns"` // the slowest
}

// SocketResult counts websockets: messages and connections apart.
type SocketResult struct {
	Sent       int           `json:"sent"`       // messages
	OK         int           `json:"ok"`         // messages that came back
	Unanswered int           `json:"unanswered"` // messages crossed by a clean close
	Max        time.Duration `json:"max_ns"`     // slowest echo
	Closed     int           `json:"closed"`     // connections the server closed cleanly
	Lost       int           `json:"lost"`       // connections that ended or failed in any other way
}

// AllLost is the number of lost requests, websockets, streamed answers and calls.
func (r Result) AllLost() int { return r.Lost + r.Sockets.Lost + r.Streams.Lost + r.Calls.Lost }

// String is the count in a few lines for people.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests   %d sent, %d answered, %d lost\n", r.Sent, r.OK, r.Lost)
	fmt.Fprintf(&b, "latency    p50 %s, p99 %s, worst %s\n", ms(r.P50), ms(r.P99), ms(r.Max))
	if s := r.Sockets; s.Sent > 0 || s.Lost > 0 {
		fmt.Fprintf(&b, "websockets %d messages, %d back, %d closed cleanly by the server, %d lost\n", s.Sent, s.OK, s.Closed, s.Lost)
	}
	if s := r.Streams; s.OK+s.Lost > 0 {
		fmt.Fprintf(&b, "streams    %d whole, %d lost\n", s.OK, s.Lost)
	}
	if c := r.Calls; c.Sent > 0 {
		fmt.Fprintf(&b, "calls      %d sent, %d answered, %d lost\n", c.Sent, c.OK, c.Lost)
	}
	for _, v := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "answered   %d times %q\n", r.Versions[v], v)
	}
	for _, why := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(&b, "lost       %d: %s\n", r.Reasons[why], why)
	}
	return b.String()
}

// JSON is the count for programs, indented.
func (r Result) JSON() ([]byte, error) { return json.MarshalIndent(r, "", "  ") }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// tally collects a Result.
type tally struct {
	mu      sync.Mutex
	r       Result
	latency []time.Duration
}

func newTally() *tally {
	return &tally{r: Result{Reasons: map[string]int{}, Versions: map[string]int{}}}
}

func (t *tally) sent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Sent++
}

func (t *tally) answered(version string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.r.Lost++
		t.r.Reasons[err.Error()]++
		return
	}
	t.r.OK++
	t.latency = append(t.latency, took)
	if version != "" {
		t.r.Versions[version]++
	}
}

func (t *tally) socketSent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Sockets.Sent++
}

func (t *tally) socketUnanswered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Sockets.Unanswered++
}

func (t *tally) socketEcho(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Sockets.OK++
	t.r.Sockets.Max = max(t.r.Sockets.Max, took)
}

// socketEnded counts the end of a websocket: nil is a clean close by the server.
func (t *tally) socketEnded(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.r.Sockets.Closed++
		return
	}
	t.r.Sockets.Lost++
	t.r.Reasons[err.Error()]++
}

// streamEnded counts a streamed answer: nil for one that came whole.
func (t *tally) streamEnded(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.r.Streams.OK++
		return
	}
	t.r.Streams.Lost++
	t.r.Reasons[err.Error()]++
}

func (t *tally) callSent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Calls.Sent++
}

func (t *tally) callAnswered(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.r.Calls.Lost++
		t.r.Reasons[err.Error()]++
		return
	}
	t.r.Calls.OK++
	t.r.Calls.Max = max(t.r.Calls.Max, took)
}

// result is a copy of the count so far.
func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.Reasons, r.Versions = maps.Clone(t.r.Reasons), maps.Clone(t.r.Versions)
	sorted := slices.Sorted(slices.Values(t.latency))
	r.P50, r.P99, r.Max = rank(sorted, 50), rank(sorted, 99), rank(sorted, 100)
	return r
}

// rank is the nearest-rank percentile of sorted values; 0 of none.
func rank(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}
