//go:build bench

package bench

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// day measures the ten tasks of a first day: how many commands each takes, and how long they do.
func day(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "firstday")
	out := &table{title: "A first day", head: []string{"task", "commands", "they take"}}
	task := func(name string, commands ...func() *exec.Cmd) {
		began := time.Now()
		for _, c := range commands {
			took(t, c(), 0)
		}
		out.add(name, len(commands), show(time.Since(began)))
	}
	push := func() *exec.Cmd { return app.GitCommand("push", "lain", "main") }
	verb := func(words, stdin string) func() *exec.Cmd {
		return func() *exec.Cmd {
			cmd := exec.Command("ssh", append(w.SSHOptions(w.Key), "lain@"+w.IP(), "--", strings.ReplaceAll(words, "APP", app.Name))...)
			cmd.Stdin = strings.NewReader(stdin)
			return cmd
		}
	}
	refused := func(cmd func() *exec.Cmd) func() *exec.Cmd { // what has to fail
		return func() *exec.Cmd {
			c := cmd()
			return &exec.Cmd{Path: "/bin/sh", Args: append([]string{"sh", "-c", `"$@"; test $? = 1`, "sh"}, c.Args...), Dir: c.Dir, Env: c.Env, Stdin: c.Stdin}
		}
	}
	task("deploy an application for the first time", push)
	manifest := app.Read("lain.yaml")
	app.Write("lain.yaml", strings.Replace(manifest, "script: [echo building]", "script: [exit 1]", 1))
	app.Commit("a mistake")
	task("see a push fail, and read why again", refused(push), refused(verb("runs attach APP", "")))
	app.Write("lain.yaml", manifest)
	app.Change("two")
	task("mend it", push)
	task("give it a secret file before it is asked for", verb("secret put APP conf/key", "a secret"))
	task("set a config value, live", verb("config set APP GREETING", "hello"))
	task("scale to two", verb("scale APP web=2", ""))
	task("see what runs and what it says", verb("ps APP", ""), verb("logs APP -n 20", ""))
	task("look into an instance", verb("enter APP web.1 -- cat /lain/app/VERSION", ""))
	task("run a command in a container of its own", verb("run APP -- cat /lain/app/VERSION", ""))
	task("go back, and see who did what", verb("rollback APP", ""), verb("activity APP", ""))
	if code, body, err := w.Get(app.Host(), "/"); err != nil || code != 200 || !strings.HasPrefix(body, "one") {
		t.Errorf("at the end of the day it answers %d %q, %v", code, body, err)
	}
	return []*table{out}
}
