//go:build acceptance

package stories

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lain.internal/lain/acceptance/town"
)

// door is the server's SSH address.
func door(tw *town.Town) string { return fmt.Sprintf("%s:%d", tw.IP(), town.SSHPort) }

// enter connects with an SSH client of our own, which sends what OpenSSH's never would.
func enter(tw *town.Town, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", door(tw), &ssh.ClientConfig{User: "lain", Auth: methods,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 30 * time.Second})
}

// adminKey is the admin's key as the client of our own takes it.
func adminKey(tw *town.Town) (ssh.Signer, error) {
	text, err := os.ReadFile(tw.Key)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// enterAsAdmin connects with the admin's key.
func enterAsAdmin(tw *town.Town) (*ssh.Client, error) {
	key, err := adminKey(tw)
	if err != nil {
		return nil, err
	}
	return enter(tw, ssh.PublicKeys(key))
}

// admin is enterAsAdmin for a test.
func admin(t *testing.T, tw *town.Town) *ssh.Client {
	t.Helper()
	c, err := enterAsAdmin(tw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// pushRaw speaks git's protocol by hand: it makes main of app the object id, with this pack, and returns all
// that the server said after its advertisement.
func pushRaw(tw *town.Town, app, id string, pack []byte) (string, error) {
	c, err := enterAsAdmin(tw)
	if err != nil {
		return "", err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	command := strings.Repeat("0", 40) + " " + id + " refs/heads/main\x00 report-status agent=git/liar"
	s.Stdin = io.MultiReader(strings.NewReader(fmt.Sprintf("%04x%s0000", len(command)+4, command)), strings.NewReader(string(pack)))
	out, err := s.CombinedOutput("git-receive-pack '" + app + "'")
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		return string(out), err
	}
	_, answer, _ := strings.Cut(string(out), "0000") // the end of the advertisement, if it is not in an id
	return answer, nil
}

// asked gives a command as it is and returns the exit code and the output.
func asked(t *testing.T, c *ssh.Client, command string) (int, string) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Stdin = strings.NewReader("")
	out, err := s.CombinedOutput(command)
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitStatus(), string(out)
	case err != nil:
		t.Fatalf("%q: %v", command, err)
	}
	return 0, string(out)
}

func TestHostileCommands_AreRefusedAndNothingIsRunOrMade(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	mark := "zzhostile"
	pwned := filepath.Join(t.TempDir(), "pwned")
	touch := "touch " + pwned
	names := []string{"", "''", `""`, ".", "..", "/", "//", "../" + mark, "'../" + mark + "'", "/../../etc/" + mark, "/etc/" + mark, mark + "/..", mark + "/hooks", "a/" + mark,
		"~root/" + mark, "~/" + mark, "$(" + touch + ")", "'$(" + touch + ")'", "`" + touch + "`", mark + ";" + touch, "'" + mark + "'; " + touch, mark + "|" + touch, mark + "&&" + touch, mark + "\n" + touch, mark + "\r",
		"'" + mark + "' 'two'", "'" + mark, mark + "'", `"` + mark + "'", "'" + mark + `\'x'`, "--upload-pack=" + touch, "--receive-pack=" + touch, "-oProxyCommand=" + touch, "-" + mark, "--", "-- " + mark, "--strict " + mark,
		mark + ".git.git", mark + ".GIT", strings.ToUpper(mark), mark + "\x00x", mark + "\x1b[2J", mark + "\xff", mark + "é", mark + "\u200b", mark + "%2e%2e", mark + "%00", mark + ":x", mark + "@x", mark + "*", mark + "?", "-", mark + "-",
		"lain", "service", "resource", "portal", mark + strings.Repeat("x", 40), strings.Repeat(mark, 5000), strings.Repeat("../", 1000) + mark, strings.Repeat(mark, 10000), ">" + pwned, "<" + pwned, "#", "!", "$IFS", "${HOME}", "file:///" + mark, "ssh://x/" + mark}
	var commands []string
	for _, n := range names {
		commands = append(commands, "git-receive-pack "+n, "git-upload-pack "+n, "git receive-pack "+n)
	}
	commands = append(commands, "git-receive-pack", "git-upload-pack", "git-receive-pack\t'"+mark+"'", "git-receive-pack  '"+mark+"'", "GIT-RECEIVE-PACK '"+mark+"'", "/usr/bin/git-receive-pack '"+mark+"'",
		"git-upload-archive '"+mark+"'", "git-shell", "git", "git clone x", "git --exec-path="+pwned+" receive-pack", "git -c core.sshCommand='"+touch+"' receive-pack "+mark,
		"sh -c '"+touch+"'", "bash", touch, "env X=1 "+touch, "exec "+touch, "scp -t "+pwned, "rsync --server . "+pwned, "sftp", "internal-sftp", "/usr/lib/openssh/sftp-server", "laind hook", "X=1 help;"+touch,
		"apps create ../"+mark, "apps create '$("+touch+")'", "apps create "+mark+"/..", "apps create -- -"+mark, "apps create "+mark+" --object-format=../../"+mark, "apps create "+mark+" --object-format '"+touch+"'", "apps create lain",
		"info ../../etc/passwd", "logs '$("+touch+")'", "logs ../..", "runs attach .. ..", "destroy .. --confirm ..", "destroy '*' --confirm '*'", "keys add ../../"+mark, "help ../../etc/passwd", "info '", `info "`, `info \`, "info "+strings.Repeat("a ", 2000))
	before := tw.Verb(t, "apps")
	for i := 0; i < len(commands); i += 25 { // a connection serves a limited number of sessions at once, not in all; new ones are hostile too
		c := admin(t, tw)
		for _, command := range commands[i:min(i+25, len(commands))] {
			exit, out := asked(t, c, command)
			if exit == 0 || out == "" {
				t.Errorf("%.200q: exit %d, %q", command, exit, out)
			}
			if lines := strings.Count(out, "\n"); lines > 6 || len(out) > 1500 || strings.ContainsAny(out, "\x1b\x00\r") || strings.Contains(out, "our mistake") || exit == 70 {
				t.Errorf("%.200q: exit %d, %d lines: %.1500q", command, exit, lines, out)
			}
		}
	}
	if err := errors.Join(noFile(pwned+"*"), noFile(filepath.Join(tw.Data(), "*", "*"+mark+"*")), noFile(filepath.Join(tw.Data(), "..", "*"+mark+"*")), noFile("/etc/"+mark+"*")); err != nil {
		t.Error(err)
	}
	if after := tw.Verb(t, "apps"); strings.Contains(after, mark) {
		t.Errorf("applications before:\n%s\nand after:\n%s", before, after)
	}
}

func TestSSH_ServesSessionsAndNothingElse(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	c := admin(t, tw)
	for _, addr := range []string{"127.0.0.1:5000", "127.0.0.1:7070", "127.0.0.1:2377"} {
		if conn, err := c.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			t.Errorf("the server forwards to its own %s", addr)
		}
	}
	if conn, err := c.Dial("unix", tw.Lab.Socket("n1")); err == nil {
		_ = conn.Close()
		t.Error("the server forwards to the engine's socket")
	}
	if l, err := c.Listen("tcp", "0.0.0.0:0"); err == nil {
		_ = l.Close()
		t.Error("the server listens for a client")
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"LD_PRELOAD", "GIT_SSH_COMMAND", "PATH", "GIT_DIR", "GIT_CONFIG_COUNT", "BASH_ENV", "LANG", ""} {
		if s.Setenv(name, "version=2") == nil {
			t.Errorf("the variable %q was taken", name)
		}
	}
	if s.Setenv("GIT_PROTOCOL", "version=2\nX=1") == nil {
		t.Error("two lines were taken for git's protocol")
	}
	for _, kind := range []string{"auth-agent-req@openssh.com", "x11-req"} {
		if ok, err := s.SendRequest(kind, true, nil); ok || err != nil {
			t.Errorf("%s: %t, %v", kind, ok, err)
		}
	}
	for _, name := range []string{"sftp", "netconf", ""} {
		if s.RequestSubsystem(name) == nil {
			t.Errorf("the subsystem %q was started", name)
		}
	}
}

// The same with the programs that people have.
func TestOpenSSH_GetsNoFilesAndNoForwarding(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	options := tw.SSHOptions(tw.Key)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	copying := append([]string{}, options...)
	copying[4] = "-P" // what scp and sftp call the port
	for _, argv := range [][]string{
		append(append([]string{"ssh"}, options...), "-W", "127.0.0.1:5000", "lain@"+tw.IP()),
		append(append([]string{"ssh"}, options...), "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:22", "lain@"+tw.IP()),
		append(append([]string{"ssh"}, options...), "-s", "lain@"+tw.IP(), "sftp"),
		append(append([]string{"scp"}, copying...), file, "lain@"+tw.IP()+":/tmp/zzscp"),
		append(append([]string{"scp", "-O"}, copying...), file, "lain@"+tw.IP()+":/tmp/zzscp"),
		append(append([]string{"sftp"}, copying...), "lain@"+tw.IP()+":/etc/passwd", file),
	} {
		if r := town.Begin(t, exec.Command(argv[0], argv[1:]...)).Wait(); r.Code <= 0 {
			t.Errorf("%v: exit %d\n%s", argv, r.Code, r.All())
		}
	}
	if err := noFile("/tmp/zzscp*"); err != nil {
		t.Error(err)
	}
	r := town.Begin(t, exec.Command("ssh", append(options, "lain@"+tw.IP())...)).Wait()
	if r.Code != 0 || !strings.Contains(r.All(), "git push lain main") || !strings.Contains(r.All(), "Verbs:") {
		t.Errorf("without a command there is no help: exit %d\n%s", r.Code, r.All())
	}
}

// borrowed has one key's public half and signs with another.
type borrowed struct {
	ssh.Signer
	public ssh.PublicKey
}

func (b borrowed) PublicKey() ssh.PublicKey { return b.public }

func TestAKeyThatIsOfferedButNotProven_GetsNothing(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	known, err := adminKey(tw)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for who, signers := range map[string][]ssh.Signer{
		"a stranger":                                  {own},
		"who shows the admin's key":                   {borrowed{own, known.PublicKey()}},
		"who shows the admin's key, then its own":     {borrowed{own, known.PublicKey()}, own},
		"who shows its own key, then the admin's key": {own, borrowed{own, known.PublicKey()}},
	} {
		if c, err := enter(tw, ssh.PublicKeys(signers...)); err == nil {
			_, out := asked(t, c, "apps")
			t.Errorf("%s got in:\n%s", who, out)
		}
	}
	admin(t, tw) // the key itself gets in
}

func TestOnlyKeysAreAskedFor(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	_, err := enter(tw, ssh.Password("admin"), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		return make([]string, len(questions)), nil
	}))
	if err == nil || !strings.Contains(err.Error(), "attempted methods [none]") {
		t.Errorf("a password: %v", err)
	}
	stranger := filepath.Join(t.TempDir(), "stranger")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := tw.SSHAs(t, stranger, "apps", nil); r.Code != 255 || !strings.Contains(r.Stderr, "Permission denied (publickey).") {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
}

// The town is its own: whoever shares the holder's address shares its places.
func TestHeldConnections_KeepNobodyOut(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	app := tw.NewApp(t, "wanted")
	app.MustPush()
	for i := range 500 {
		c, err := net.Dial("tcp", door(tw))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		if i%2 == 1 {
			_, _ = io.WriteString(c, "SSH-2.0-held\r\n")
		}
	}
	commit := app.Change("two")
	app.MustPush()
	app.Truth(commit, "two")
	if out := tw.Verb(t, "apps"); !strings.Contains(out, app.Name) {
		t.Errorf("apps says:\n%s", out)
	}
}

func TestSSHAudit_FindsNoFailure(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	if _, err := exec.LookPath("ssh-audit"); err != nil {
		t.Fatal("ssh-audit is needed: make test installs it")
	}
	cmd := exec.CommandContext(t.Context(), "ssh-audit", "-n", "-p", fmt.Sprint(town.SSHPort), tw.IP())
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput() // its exit code counts warnings of what it does not know
	if !strings.Contains(string(out), "(kex) curve25519-sha256") || !strings.Contains(string(out), "(key) ssh-ed25519") {
		t.Fatalf("ssh-audit did not see the server: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "[fail]") || strings.Contains(line, "[warn]") && !strings.Contains(line, "unknown algorithm") {
			t.Error(line)
		}
	}
}
