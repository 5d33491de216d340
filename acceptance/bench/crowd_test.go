//go:build bench

package bench

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

// crowded is how many applications there are in a crowd.
const crowded = 1000

// crowd measures what a thousand applications cost one more: its verbs, its pushes up to the rollout, and the server
// at rest. They are made and not pushed, so nothing of them runs.
func crowd(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "crowd")
	app.MustPush()
	before := w.measures(t, app)
	w.gather(t)
	after := w.measures(t, app)
	out := &table{title: fmt.Sprintf("%d applications", crowded), head: []string{"", "one application", fmt.Sprintf("%d more", crowded), "ratio", "aim"}}
	for i, name := range []string{"info APP, 95 %", "apps, 95 %", "push of a commit without changes, build only, 95 %"} {
		aim := "1.10"
		if i == 1 {
			aim = "-" // its answer is a thousand times as long
		}
		a, b := before.asked[i].at(0.95), after.asked[i].at(0.95)
		out.add(name, show(a), show(b), fmt.Sprintf("%.2f", float64(b)/float64(a)), aim)
	}
	out.add("laind at rest, of a core", percent(before.cpu), percent(after.cpu), "", "1.0 %")
	out.add("laind, resident", mib(before.rss), mib(after.rss), "", "-")
	out.add("writes to etcd, a second, at rest", before.writes, after.writes, "", "5")
	return []*table{out}
}

// measured is what is compared.
type measured struct {
	asked  []sample
	cpu    float64
	rss    int64
	writes string
}

func (w *world) measures(t *testing.T, app *town.App) measured {
	t.Helper()
	ask := func(words string) func(int) time.Duration {
		return func(int) time.Duration {
			d, _ := took(t, exec.Command("ssh", append(w.SSHOptions(w.Key), "lain@"+w.IP(), "--", words)...), 0)
			return d
		}
	}
	m := measured{asked: sampled(8*w.n, ask("info "+app.Name), ask("apps"), func(int) time.Duration {
		app.Commit("nothing changed")
		d, _ := took(t, app.GitCommand("push", "-o", "build-only", "lain", "main"), 0)
		return d
	})}
	const settle, look = 15 * time.Second, 30 * time.Second
	wait(t, settle)
	cpu, revision := w.cpu(t)["laind"], w.revision(t)
	wait(t, look)
	now := w.cpu(t)["laind"]
	m.cpu, m.rss = float64(now.cpu-cpu.cpu)/float64(look), now.rss
	m.writes = fmt.Sprintf("%.1f", float64(w.revision(t)-revision)/look.Seconds())
	return m
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// gather makes the crowd, over one connection.
func (w *world) gather(t *testing.T) {
	t.Helper()
	shared := append([]string{"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath=" + w.plain.path("c-%p")}, w.SSHOptions(w.Key)...)
	ssh := func(words ...string) *exec.Cmd {
		return exec.Command("ssh", append(append([]string{}, shared...), append([]string{"lain@" + w.IP()}, words...)...)...)
	}
	run(t, quietly(ssh("--", "apps")))
	began := time.Now()
	for i := range crowded {
		took(t, ssh("--", fmt.Sprintf("apps create one-of-many-%d", i)), 0)
	}
	t.Logf("%d applications were made in %s", crowded, time.Since(began).Round(time.Second))
	_ = exec.Command("ssh", append(append(shared, "-O", "exit"), "lain@"+w.IP())...).Run()
}

// client measures how long the client takes to start and say something of its own.
func client(t *testing.T, w *world) []*table {
	once := func(argv ...string) func(int) time.Duration {
		return func(int) time.Duration {
			d, out := took(t, exec.Command(argv[0], argv[1:]...), 0)
			if strings.Contains(argv[0], "lain") && out == "" {
				t.Fatalf("%v said nothing", argv)
			}
			return d
		}
	}
	s := sampled(helperRounds, once("/bin/busybox", "true"), once(town.Bin("lain"), "--help"), once("ssh", "-V"))
	out := &table{title: "The client", head: []string{fmt.Sprintf("median of %d", helperRounds), "takes", "aim"}}
	for i, name := range []string{"busybox true", "lain --help", "ssh -V"} {
		aim := "-"
		if i == 1 {
			aim = "10 ms"
		}
		out.add(name, fine(s[i].median()), aim)
	}
	return []*table{out}
}
