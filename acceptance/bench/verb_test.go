//go:build bench

package bench

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// refusal measures a push that is refused for its lain.yaml, in an application that has been pushed before.
func refusal(t *testing.T, w *world) []*table {
	app := w.NewApp(t, "refuse")
	app.MustPush("-o", "build-only", "lain", "main")
	url := w.plain.repo(t, "refuse.git", "", "")
	app.Git("push", "-q", url, "main")
	w.plain.write(t, "refuse.git/hooks/update", refusing, 0o755)
	s := sampled(3*w.n,
		func(i int) time.Duration {
			app.Write("lain.yaml", fmt.Sprintf("appname: %s\nweb:\n  port: eighty-%d\n", app.Name, i))
			app.Commit("bad")
			d, _ := took(t, app.GitCommand("push", "lain", "main"), 1)
			return d
		},
		func(int) time.Duration {
			d, _ := took(t, app.GitCommand("push", url, "main"), 1)
			return d
		})
	out := &table{title: "Refusal", head: []string{"", "lain", "sshd + git", "ratio", "aim"}}
	out.add("git push of a bad lain.yaml; an update hook that refuses", s[0], s[1], against(s[0], s[1]), "300 ms")
	return []*table{out}
}

// verb measures the shortest conversation: a verb and its answer. The plain side prints a file.
func verb(t *testing.T, w *world) []*table {
	ours := func(more ...string) *exec.Cmd {
		args := append(more, w.SSHOptions(w.Key)...)
		return exec.Command("ssh", append(args, "lain@"+w.IP(), "--", "apps")...)
	}
	plain := func(more ...string) *exec.Cmd {
		args := append(more, w.SSHOptions(w.plain.verbKey)...)
		for i, a := range args {
			if a == "-p" {
				args[i+1] = fmt.Sprint(plainSSH)
			}
		}
		return exec.Command("ssh", append(args, "verb@"+w.IP())...)
	}
	shared := []string{"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath=" + w.plain.path("m-%p")}
	out := &table{title: "A verb over SSH", head: []string{"", "lain apps", "sshd, cat", "ratio", "aim"}}
	for _, c := range []struct {
		name string
		more []string
	}{{"a connection of its own", nil}, {"over a shared connection (ControlMaster)", shared}} {
		once := func(f func(...string) *exec.Cmd) func(int) time.Duration {
			return func(int) time.Duration {
				d, _ := took(t, f(c.more...), 0)
				return d
			}
		}
		if c.more != nil { // the master answers in the background
			for _, f := range []func(...string) *exec.Cmd{ours, plain} {
				run(t, quietly(f(c.more...)))
			}
		}
		s := sampled(8*w.n, once(ours), once(plain))
		out.pair(c.name+", median", s[0], s[1], 0)
		out.add(c.name+", 95 %", show(s[0].at(0.95)), show(s[1].at(0.95)), fmt.Sprintf("%.2f", float64(s[0].at(0.95))/float64(s[1].at(0.95))), "-")
	}
	for _, f := range []func(...string) *exec.Cmd{ours, plain} {
		stop := f(append(shared, "-O", "exit")...)
		_ = stop.Run()
	}
	return []*table{out}
}

// quietly keeps a master in the background from holding our output open.
func quietly(cmd *exec.Cmd) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `exec "$@" >/dev/null 2>&1`, "sh"}, cmd.Args...)...)
}
