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

// change measures releases without a push, from the verb to the first answer of what it brought, against the
// engine's own replacement of the same two containers, with the same health check.
func change(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "change")
	w.say(t, "first", "secret put "+app.Name+" conf/key")
	app.Manifest("", "  num_instances: 2", "  secret_files: [conf/key]")
	app.Change("one")
	app.MustPush()
	app.Change("two")
	app.MustPush()
	service := "lain_" + app.Name + "_web"
	s := sampled(w.n,
		func(i int) time.Duration { return w.secret(t, app, fmt.Sprintf("value %d", i)) },
		func(i int) time.Duration { return w.rollback(t, app, i) },
		func(int) time.Duration {
			d, _ := took(t, exec.Command("docker", "-H", w.Lab.DockerHost("n1"), "service", "update", "-q", "--force", "--detach=false", service), 0)
			return d
		})
	out := &table{title: "Releases without a push", head: []string{"two instances", "lain", "docker service update --force", "difference", "aim"}}
	for i, name := range []string{"secret put, to its first answer", "rollback, to its first answer"} {
		out.add(name, s[i], s[2], show(s[i].median()-s[2].median()), "500 ms")
	}
	return []*table{out}
}

// say gives a verb with words on its standard input.
func (w *world) say(t *testing.T, stdin, words string) {
	t.Helper()
	if r := w.SSHAs(t, w.Key, words, strings.NewReader(stdin)); r.Code != 0 {
		t.Fatalf("%s: exit %d\n%s", words, r.Code, r.All())
	}
}

func (w *world) secret(t *testing.T, app *town.App, value string) time.Duration {
	t.Helper()
	began := time.Now()
	w.say(t, value, "secret put "+app.Name+" conf/key")
	if _, body, err := w.Get(app.Host(), "/file?p=/lain/app/conf/key"); err != nil || body != value {
		t.Fatalf("the secret is %q (%v), want %q", body, err, value)
	}
	return time.Since(began)
}

// rollback goes to the other of the two versions.
func (w *world) rollback(t *testing.T, app *town.App, round int) time.Duration {
	t.Helper()
	began := time.Now()
	w.say(t, "", "rollback "+app.Name)
	d := time.Since(began)
	app.Serves([]string{"one", "two"}[round%2])
	return d
}
