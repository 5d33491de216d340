//go:build acceptance

package stories

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// run is what people read of a run with --json.
type run struct {
	App      string
	Number   int
	Commit   string
	By       string
	State    string
	Stage    string
	Reason   string
	Release  int
	Failures []failure
	Created  time.Time
	Ended    time.Time
	Stages   []struct{ Name, Skipped string }
}

func (r run) id() string { return fmt.Sprintf("r-%d", r.Number) }

type failure struct {
	Proc      string
	ExitCode  *int `json:"exit_code"`
	OOM       bool
	Memory    int64    `json:"memory_bytes"`
	LastProbe string   `json:"last_probe"`
	LogTail   []string `json:"log_tail"`
	Hint      string
}

type release struct {
	Number int
	Commit string
	Status string
	Reason string
	Run    int
	By     string
	Branch string
	Forced bool
	Why    string
	From   int
}

// newestRun is the last run of an application.
func newestRun(t testing.TB, tw *town.Town, app *town.App) run {
	t.Helper()
	all := town.JSON[[]run](t, tw, "runs "+app.Name)
	if len(all) == 0 {
		t.Fatalf("%s has no runs", app.Name)
	}
	return all[0]
}

// serving makes an application whose first version, "one", serves.
func serving(t *testing.T, prefix string) (app *town.App, commit string) {
	t.Helper()
	app = shared(t).NewApp(t, prefix)
	app.MustPush()
	return app, app.Head()
}

// script makes the build run these commands, one after another.
func script(t testing.TB, app *town.App, commands ...string) {
	t.Helper()
	section(t, app, "  script: [", "  script: "+list(commands))
}

// section puts a line of lain.yaml in the place of the first one that begins so.
func section(t testing.TB, app *town.App, begin, line string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(app.Dir, "lain.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], begin) {
			lines[i] = line
			app.Write("lain.yaml", strings.Join(lines, "\n"))
			return
		}
	}
	t.Fatalf("lain.yaml has no line that begins with %q", begin)
}

// list is a YAML list on one line.
func list(words []string) string {
	data, _ := json.Marshal(words) // YAML reads JSON; texts can't fail
	return string(data)
}

// hold is a step that stands still until the story lets it go on.
type hold struct {
	t      testing.TB
	number string
}

func newHold(t testing.TB) *hold {
	h := &hold{t, fmt.Sprint(100_000_000 + rand.IntN(900_000_000))}
	t.Cleanup(h.letGo)
	return h
}

// command is what the step runs.
func (h *hold) command() string { return "echo holding; sleep " + h.number + " || true" }

func (h *hold) processes() []int { return town.Processes("sleep", h.number) }

// reached waits until the step stands still.
func (h *hold) reached() {
	h.t.Helper()
	err := town.Until(h.t.Context(), 2*time.Minute, func() error {
		if len(h.processes()) == 0 {
			return fmt.Errorf("no step sleeps %s", h.number)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// letGo lets the step go on.
func (h *hold) letGo() {
	for _, pid := range h.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// gone waits until the step has been ended by others than us.
func (h *hold) gone(within time.Duration) {
	h.t.Helper()
	err := town.Until(h.t.Context(), within, func() error {
		if pids := h.processes(); len(pids) > 0 {
			return fmt.Errorf("the step still runs: %v", pids)
		}
		return nil
	})
	if err != nil {
		h.t.Error(err)
	}
}
