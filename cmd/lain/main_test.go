package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// program is the real lain, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lain-client-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "lain")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build lain: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// desk is where a developer sits: a folder, and an ssh that writes down its arguments.
type desk struct {
	t    *testing.T
	dir  string // the working folder
	bin  string // the first folder of PATH
	env  []string
	args string // file with the arguments of the last ssh, each ended by a NUL
}

// far is the far side: it keeps its arguments, says what FAR_SAYS says, and ends with FAR_CODE.
const far = `#!/bin/sh
printf '%s\0' "$@" > "$FAR_ARGS"
[ -z "$FAR_READS" ] || cat
printf '%s' "$FAR_SAYS"
[ -z "$FAR_SIGNAL" ] || kill -s "$FAR_SIGNAL" $$
exit "${FAR_CODE:-0}"
`

func newDesk(t *testing.T) *desk {
	root := t.TempDir()
	d := &desk{t: t, dir: filepath.Join(root, "hello"), bin: filepath.Join(root, "bin"), args: filepath.Join(root, "args")}
	for _, dir := range []string{d.dir, d.bin} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.env = []string{"PATH=" + d.bin + ":" + os.Getenv("PATH"), "HOME=" + root, "FAR_ARGS=" + d.args, "GIT_CONFIG_NOSYSTEM=1", "GIT_CEILING_DIRECTORIES=" + root}
	d.program("ssh", far)
	return d
}

func (d *desk) program(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.bin, name), []byte(text), 0o755); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) git(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repository makes the folder one, with remotes of name and URL in turn.
func (d *desk) repository(remotes ...string) *desk {
	d.t.Helper()
	d.git("init", "-q", "-b", "main")
	for i := 0; i < len(remotes); i += 2 {
		d.git("remote", "add", remotes[i], remotes[i+1])
	}
	return d
}

// result is how a lain ended, and what it gave to ssh; nil: ssh was not run.
type result struct {
	code     int
	out, err string
	ssh      []string
}

func (d *desk) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	return cmd
}

func (d *desk) lain(args ...string) result {
	d.t.Helper()
	return d.end(d.command(args...))
}

func (d *desk) end(cmd *exec.Cmd) result {
	d.t.Helper()
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	_ = os.Remove(d.args)
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		d.t.Fatal(err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String()}
	if data, err := os.ReadFile(d.args); err == nil {
		r.ssh = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	}
	return r
}

func TestAVerbGoesOverSSH(t *testing.T) {
	d := newDesk(t).repository("origin", "git@github.com:me/hello.git", "lain", "lain:hello", "prod", "ssh://lain@10.0.0.1:2222/hello-prod")
	for _, c := range []struct {
		args []string
		ssh  string // the arguments, with | between
	}{
		{[]string{"-r", "lain", "logs", "-f"}, "-T|--|lain|logs hello -f"},
		{[]string{"logs", "-f", "-rprod", "-p", "web"}, "-T|-p|2222|-l|lain|--|10.0.0.1|logs hello-prod -f -p web"},
		{[]string{"runs", "attach", "r-4", "--remote=prod"}, "-T|-p|2222|-l|lain|--|10.0.0.1|runs attach hello-prod r-4"},
		{[]string{"-r", "lain", "-a", "other", "ps"}, "-T|--|lain|ps other"},
		{[]string{"-r", "lain", "ps", "hello", "--json"}, "-T|--|lain|ps hello --json"},
		{[]string{"--host", "x@y", "-a", "hello", "ban", "v3", "-m", "it's $HOME; `id`"}, "-T|-l|x|--|y|ban hello v3 -m 'it'\\''s $HOME; `id`'"},
		{[]string{"--host=lain", "logs", "hello"}, "-T|--|lain|logs hello"},
		{[]string{"--host", "lain", "conjure", "", "-x"}, "-T|--|lain|conjure '' -x"},
		{[]string{"--host", "lain", "help"}, "-T|--|lain|help"},
		{[]string{"help", "logs", "--host", "lain"}, "-T|--|lain|help logs"},
		{[]string{"-r", "prod", "apps"}, "-T|-p|2222|-l|lain|--|10.0.0.1|apps"},
		{[]string{"-r", "lain", "logs", "--", "-r", "-a"}, "-T|--|lain|logs hello -- -r -a"},
		{[]string{"-r", "lain", "config", "set", "KEY"}, "-T|--|lain|config set hello KEY"},
	} {
		if got := d.lain(c.args...); got.code != 0 || strings.Join(got.ssh, "|") != c.ssh {
			t.Errorf("lain %q: %d, %s%s\n got %s\nwant %s", c.args, got.code, got.out, got.err, strings.Join(got.ssh, "|"), c.ssh)
		}
	}
	d.env = append(d.env, "LAIN_REMOTE=prod")
	if got := d.lain("info"); !slices.Equal(got.ssh, []string{"-T", "-p", "2222", "-l", "lain", "--", "10.0.0.1", "info hello-prod"}) {
		t.Errorf("with LAIN_REMOTE: %q %s", got.ssh, got.err)
	}
	if got := d.lain("--host", "lain", "apps"); !slices.Equal(got.ssh, []string{"-T", "--", "lain", "apps"}) {
		t.Errorf("a host beside LAIN_REMOTE: %q %s", got.ssh, got.err)
	}
}

// What cannot be meant in one way only never gets to ssh.
func TestWhatIsRefused(t *testing.T) {
	none, several := newDesk(t), newDesk(t).repository("a", "lain:hello", "b", "lain:other", "evil", "ssh://-oProxyCommand=x/hello")
	for _, c := range []struct {
		d    *desk
		args []string
		code int
		says string
	}{
		{none, []string{"logs"}, 66, "no git remote here leads to a Lain"},
		{none, []string{"apps"}, 66, "--host lain"},
		{several, []string{"logs"}, 64, "-r a   lain:hello"},
		{several, []string{"-r", "evil", "logs"}, 64, "does not lead to a Lain"},
		{several, []string{"-r", "c", "logs"}, 66, `no git remote "c"`},
		{several, []string{"-r", "a", "--host", "lain", "logs"}, 64, "two things"},
		{several, []string{"--host", "-oProxyCommand=x", "logs"}, 64, "not a host's name"},
		{several, []string{"-a", "../x", "logs"}, 64, "not an application name"},
		{several, []string{"-a", "hello", "apps"}, 64, "takes no application"},
		{several, []string{"-a", "hello", "conjure"}, 64, "does not know the verb conjure"},
		{several, []string{"logs", "-r"}, 64, "-r wants a value"},
		{several, []string{"-f", "logs"}, 64, "stands before a verb"},
		{several, []string{"open", "--nothing"}, 64, "unknown flag"},
		{several, []string{"completion", "csh"}, 64, "csh"},
		{several, []string{"create", "a", "b"}, 64, "arg"},
	} {
		if got := c.d.lain(c.args...); got.code != c.code || !strings.Contains(got.err, c.says) || got.ssh != nil || got.out != "" {
			t.Errorf("lain %q: %d, ssh %q, %s%s", c.args, got.code, got.ssh, got.out, got.err)
		}
	}
	if got := several.lain("apps"); got.code != 0 || got.ssh == nil {
		t.Errorf("two remotes of one host: apps: %d, %s", got.code, got.err)
	}
}

func TestStreamsAndExitCodes(t *testing.T) {
	d := newDesk(t).repository("lain", "lain:hello")
	for code, says := range map[string]string{"0": "", "1": "", "64": "", "130": "", "255": "ssh did not get through to lain"} {
		d.env = append(d.env, "FAR_CODE="+code, "FAR_READS=1", "FAR_SAYS= and out\n")
		cmd := d.command("secret", "put", "key")
		cmd.Stdin = strings.NewReader("in\x00")
		got := d.end(cmd)
		if fmt.Sprint(got.code) != code || got.out != "in\x00 and out\n" || !strings.Contains(got.err, says) || says == "" && got.err != "" {
			t.Errorf("%s: %d, %q, %q", code, got.code, got.out, got.err)
		}
	}
	d.env = append(d.env, "FAR_SIGNAL=TERM")
	if got := d.lain("ps"); got.code != 128+15 {
		t.Errorf("a killed ssh: %d, %s", got.code, got.err)
	}
	d.env[0] = "PATH=" + t.TempDir()
	if got := d.lain("--host", "lain", "ps"); got.code != 75 || !strings.Contains(got.err, "ssh is not installed here") {
		t.Errorf("without ssh: %d, %s", got.code, got.err)
	}
	if got := d.lain("ps"); got.code != 75 || !strings.Contains(got.err, "git is not installed here") {
		t.Errorf("without git: %d, %s", got.code, got.err)
	}
}

// A terminal's Ctrl-C reaches ssh by itself; what is sent to lain alone is passed on. Neither is a failure of ssh.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  syscall.Signal
		group bool
		code  int
	}{{"Ctrl-C", syscall.SIGINT, true, 128 + 2}, {"kill", syscall.SIGTERM, false, 128 + 15}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t).repository("lain", "lain:hello")
			d.program("ssh", "#!/bin/sh\ntrap 'exit 255' INT TERM\necho ready\nwhile :; do sleep 0.05; done\n")
			cmd := d.command("logs", "-f")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // nothing is there any more if it went well
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatal(line, err)
			}
			pid := cmd.Process.Pid
			if c.group {
				pid = -pid
			}
			if err := syscall.Kill(pid, c.send); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if cmd.ProcessState.ExitCode() != c.code || errs.Len() > 0 {
				t.Errorf("%v, %s", cmd.ProcessState, errs.String())
			}
		})
	}
}
