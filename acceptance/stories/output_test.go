//go:build acceptance

package stories

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// rows is how many lines the chatty builds write: more than any buffer on the way holds.
const rows = 200_000

// chatty makes the build write all rows.
func chatty(t testing.TB, app *town.App) string {
	t.Helper()
	script(t, app, fmt.Sprintf("busybox seq %d | busybox sed 's/^/row /'", rows))
	return app.Change("chatty")
}

var row = regexp.MustCompile(`\brow (\d+)\b`)

// complete checks that text holds every row once, in order. A line that is the command itself holds none.
func complete(t testing.TB, where, text string) {
	t.Helper()
	next := 1
	for l := range strings.Lines(text) {
		m := row.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		if n, _ := strconv.Atoi(m[1]); n != next {
			t.Fatalf("%s: row %d stands where row %d should", where, n, next)
		}
		next++
	}
	if next != rows+1 {
		t.Errorf("%s: the last row is %d, want %d", where, next-1, rows)
	}
}

func TestLongOutput_ArrivesWhole(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "chatty")
	commit := chatty(t, app)
	r := app.MustPush()
	complete(t, "the push", r.Stderr)
	complete(t, "logs --run", tw.Verb(t, "logs "+app.Name+" --run r-2"))
	complete(t, "runs attach", tw.Verb(t, "runs attach "+app.Name+" r-2"))
	app.Truth(commit, "chatty")
}

// Whoever stops reading holds up themselves only: the run goes on to its end, and they get it all when they
// read again.
func TestAClientThatStopsReading_SlowsNoBuild(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "stopped")
	commit := chatty(t, app)
	push := app.BeginPush()
	push.Sees("row 1")
	push.Signal(syscall.SIGSTOP)
	if r := ends(t, tw, app, 2); r.State != "done" {
		t.Errorf("the run of the stopped client is %s: %s", r.State, r.Reason)
	}
	app.Truth(commit, "chatty")
	if push.Ended() || strings.Contains(push.Output(), fmt.Sprintf("row %d ", rows)) {
		t.Error("the client was not stopped: it has it all")
	}
	push.Signal(syscall.SIGCONT)
	r := push.Wait()
	if r.Code != 0 {
		t.Errorf("exit %d", r.Code)
	}
	complete(t, "the client that was stopped", r.Stderr)
	if !strings.Contains(r.Stderr, "v2 serves "+commit[:7]) {
		t.Error("the client that was stopped does not get the end")
	}
}

// What a program prints can't steer the terminal of those who push.
func TestControlBytes_DoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "control")
	script(t, app, `printf 'plain \033[31mred\033[0m \033]0;title\007 \033[2J\033[1;1H bell\007 \302\233 end\n'`,
		`printf 'ten percent\rhalf\rall of it\n'`, `printf 'no newline at the end'`)
	app.Change("control")
	r := app.MustPush()
	logs := tw.Verb(t, "logs "+app.Name+" --run r-2")
	for where, text := range map[string]string{"the push": r.Stderr, "logs --run": logs} {
		for _, bad := range []string{"\x1b[2J", "\x1b]", "\x07", "\u009b"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s shows %q", where, bad)
			}
		}
		for _, want := range []string{"plain ", "red", " end", "all of it", "no newline at the end"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", where, want)
			}
		}
	}
}
