//go:build acceptance

package stories

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// ticks is what one instance of a worker wrote, as a follower saw it.
type ticks struct {
	seen, ended int    // the newest number; how many the instance said they were at its end
	wrong       string // the first line that does not follow the one before
}

// ticksOf reads what a follower of ticking workers saw, by instance and version.
func ticksOf(output string) map[string]*ticks {
	all := map[string]*ticks{}
	for line := range strings.Lines(output) {
		head, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		_, name, _ := strings.Cut(head, " ") // behind the time
		var n int
		var version string
		_, tick := fmt.Sscanf(text, "tick %d of %s", &n, &version)
		_, end := fmt.Sscanf(text, "worker %s ends after %d ticks", &version, &n)
		if tick != nil && end != nil {
			continue
		}
		k := name + " " + version
		if all[k] == nil {
			all[k] = &ticks{}
		}
		all[k].take(line, n, end == nil)
	}
	return all
}

func (s *ticks) take(line string, n int, end bool) {
	if end {
		s.ended = n
	}
	if s.wrong == "" && (end && n != s.seen || !end && n != s.seen+1) {
		s.wrong = fmt.Sprintf("%q behind tick %d", line, s.seen)
	}
	s.seen = n
}

// Of five instances that write about a thousand lines a second together, no line is lost and each one's order is kept, from
// the first release to the end of the second.
func TestLogs_NoLineIsLost(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "chatter")
	app.Manifest("", "worker.tick:", "  cmd: /bin/testapp -worker -tick 5ms -version-file /lain/app/VERSION", "  num_instances: 5")
	app.Change("one")
	app.MustPush()
	logs := tw.BeginSSH(t, "logs "+app.Name+" -p tick -n 0 -f")
	logs.Sees("tick 6000 of one\n")
	app.Change("two")
	app.MustPush()
	logs.Sees("tick 6000 of two\n")
	tw.Verb(t, "scale "+app.Name+" tick=0")
	logs.Sees("worker two ends")
	app.Eventually("all series are whole", 2*time.Minute, func() error { return whole(ticksOf(logs.Output()), 10) })
	logs.CtrlC()
	logs.Wait()
}

// whole says what is missing of so many series.
func whole(all map[string]*ticks, n int) error {
	for k, s := range all {
		if s.wrong != "" || s.ended == 0 {
			return fmt.Errorf("%s: %d ticks, at its end %d: %s", k, s.seen, s.ended, s.wrong)
		}
	}
	if len(all) != n {
		return fmt.Errorf("%d series", len(all))
	}
	return nil
}
