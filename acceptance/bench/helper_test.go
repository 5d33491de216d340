//go:build bench

package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

const helperRounds = 300

// helper measures what the program inside every container costs: at a start, and at each question. The plain
// side starts the same program without it.
func helper(t *testing.T, w *world) []*table {
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	t.Cleanup(healthy.Close)
	program := town.Bin("lain-helper")
	at := strings.TrimPrefix(healthy.URL, "http://")
	once := func(argv ...string) func(int) time.Duration {
		return func(int) time.Duration {
			d, _ := took(t, exec.Command(argv[0], argv[1:]...), 0)
			return d
		}
	}
	s := sampled(helperRounds,
		once("/bin/busybox", "true"),
		once(program, "run", "--", "/bin/busybox", "true"),
		once(program, "probe", "--http", healthy.URL+"/", "--interval", "0s", "--settle", "0s"),
		once(program, "probe", "--tcp", at, "--interval", "0s", "--settle", "0s"))
	out := &table{title: "The helper", head: []string{fmt.Sprintf("median of %d", helperRounds), "with it", "busybox true alone", "more"}}
	for i, name := range []string{"start of a program", "one HTTP probe", "one TCP probe"} {
		out.add(name, fine(s[i+1].median()), fine(s[0].median()), fine(s[i+1].median()-s[0].median()))
	}
	return []*table{out}
}

func fine(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
