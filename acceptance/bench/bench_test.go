//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// world is where everything is measured: one node with an engine, a laind, and the plain way beside it.
type world struct {
	*town.Town
	plain *plain
	n     int // how often
}

// TestPerformance measures everything that LAIN_BENCH_ONLY does not leave out, and prints the tables.
func TestPerformance(t *testing.T) {
	only := regexp.MustCompile(os.Getenv("LAIN_BENCH_ONLY"))
	w := &world{Town: town.New(t, town.Options{}), n: times(t)}
	w.plain = startPlain(t, w.Town)
	fmt.Print(machine(w.n))
	for _, m := range []struct {
		name string
		run  func(*testing.T, *world) []*table
	}{
		{"rest", rest}, {"verb", verb}, {"refusal", refusal}, {"receive", receive}, {"live", live}, {"change", change}, {"helper", helper}, {"client", client}, {"day", day}, {"lines", lines},
		{"crowd", crowd}, // the last: its applications stay
	} {
		if !only.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			began := time.Now()
			for _, table := range m.run(t, w) {
				fmt.Printf("\n%s", table)
			}
			t.Logf("measured in %s", time.Since(began).Round(time.Second))
		})
	}
}

func times(t *testing.T) int {
	text := os.Getenv("LAIN_BENCH_N")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LAIN_BENCH_N is %q: give a number", text)
	}
	return n
}

// machine says where the figures come from.
func machine(n int) string {
	first := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		line, _, _ := strings.Cut(string(out), "\n")
		if err != nil || line == "" {
			return name + " (unknown)"
		}
		return line
	}
	return fmt.Sprintf("%d cores, %s; %s; %s; %s; median (least … most) of %d\n", runtime.NumCPU(),
		first("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"), first("dockerd", "--version"), first("git", "--version"),
		first("sh", "-c", "nginx -v 2>&1"), n)
}

// took runs a command that must end with this exit code and returns how long it took.
func took(t testing.TB, cmd *exec.Cmd, code int) (time.Duration, string) {
	t.Helper()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	d := time.Since(began)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%v: %v, want exit code %d\n%s", cmd.Args, err, code, out)
	}
	return d, string(out)
}
