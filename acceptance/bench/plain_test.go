//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/lab"
	"lain.internal/lain/acceptance/town"
)

// plain is the way without Lain: the distribution's sshd with git behind it, in the same node. Two users that
// only this sshd knows log in: git, whose shell is git-shell, and verb, who is shown a file. (The shell of the
// machine's own users reads files of theirs first, which can take a second.)
type plain struct {
	tw      *town.Town
	dir     string
	verbKey string
	sshd    *exec.Cmd
	log     bytes.Buffer // what sshd said
}

const (
	plainSSH  = 2200
	plainHTTP = 8081
)

func startPlain(t *testing.T, tw *town.Town) *plain {
	t.Helper()
	p := &plain{tw: tw, dir: t.TempDir()}
	var err error
	if p.verbKey, err = tw.NewKey("plain"); err != nil {
		t.Fatal(err)
	}
	run(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.path("host")))
	p.write(t, "sshd_config", fmt.Sprintf(`Port %d
HostKey %s
PidFile none
AuthorizedKeysFile %s/key-%%u
StrictModes no
UsePAM no
PasswordAuthentication no
MaxStartups 100
MaxSessions 100
LogLevel ERROR
`, plainSSH, p.path("host"), p.dir), 0o600)
	p.write(t, "key-git", read(t, tw.Key+".pub")+"\n", 0o600)
	p.write(t, "key-verb", fmt.Sprintf("restrict,command=\"cat %s\" %s\n", p.path("sshd_config"), read(t, p.verbKey+".pub")), 0o600)
	p.write(t, "passwd", fmt.Sprintf("%s\ngit:x:0:0::%[2]s:/usr/bin/git-shell\nverb:x:0:0::%[2]s:/bin/sh\n", read(t, "/etc/passwd"), p.dir), 0o644)
	p.sshd = tw.Lab.Exec(context.Background(), "n1", "unshare", "-m", "sh", "-c",
		fmt.Sprintf("mkdir -p /run/sshd && mount --bind %s /etc/passwd && exec /usr/sbin/sshd -D -e -f %s", p.path("passwd"), p.path("sshd_config")))
	p.sshd.Stderr = &p.log
	if err := p.sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = lab.Signal(p.sshd, 15)
		_ = p.sshd.Wait()
	})
	if err := town.Until(t.Context(), 3*time.Minute, func() error {
		conn, err := net.Dial("tcp", net.JoinHostPort(tw.IP(), strconv.Itoa(plainSSH)))
		if err == nil {
			err = conn.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plain) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plain) write(t testing.TB, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func (p *plain) url(repo string) string {
	return fmt.Sprintf("ssh://git@%s:%d%s", p.tw.IP(), plainSSH, p.path(repo))
}

// repo makes a bare repository that checks what it receives, as ours do. hook, if any, is the text of the
// script at which the name says when git runs it.
func (p *plain) repo(t testing.TB, name, hookName, hook string) string {
	t.Helper()
	run(t, exec.Command("git", "init", "-q", "--bare", "-b", "main", p.path(name)))
	run(t, exec.Command("git", "-C", p.path(name), "config", "transfer.fsckObjects", "true"))
	run(t, exec.Command("git", "-C", p.path(name), "config", "receive.advertisePushOptions", "true"))
	if hook != "" {
		p.write(t, name+"/hooks/"+hookName, hook, 0o755)
	}
	return p.url(name)
}

func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
