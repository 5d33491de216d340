package gitserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
)

func TestPushMovesWhatReceiveMoves(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.onReceive(func(ctx context.Context, p Push) []Answer {
		fmt.Fprintf(p.Progress, "-----> %s pushes %s\n", p.Session.Person, p.App)
		return accept(ctx, p)
	})
	stderr, code := l.git("hello", "push", "lain", "main")
	if code != 0 || !strings.Contains(stderr, "remote: -----> alice pushes hello") || !strings.Contains(stderr, "* [new branch]      main -> main") {
		t.Fatalf("%d %s", code, stderr)
	}
	second := l.commit("hello", "a", "1")
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 0 {
		t.Fatal(stderr)
	}
	if got := l.refs("hello"); got != "refs/heads/main "+second+"\n" {
		t.Fatal(got)
	}
	for _, version := range []string{"0", "2"} {
		l.must(".", "-c", "protocol.version="+version, "clone", "-q", l.url("hello.git"), "clone"+version)
		if got := l.must("clone"+version, "rev-parse", "HEAD"); got != second {
			t.Fatal(got)
		}
	}
	eventually(t, 5*time.Second, "two pushes closed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.closed == 2
	})
	l.noQuarantine("hello")
}

func TestARefusalArrivesWhole(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	reason := "web is not healthy after 30s, v7 still serves; lain logs --run r-42 — größer " + strings.Repeat("0123456789", 80)
	l.onReceive(func(_ context.Context, p Push) []Answer {
		return []Answer{{Ref: p.Commands[0].Ref, Reason: reason}}
	})
	stderr, code := l.git("hello", "push", "lain", "main")
	if code != 1 || !strings.Contains(stderr, "! [remote rejected] main -> main ("+reason+")") {
		t.Fatalf("%d %s", code, stderr)
	}
	l.onReceive(func(_ context.Context, p Push) []Answer {
		return []Answer{{Ref: p.Commands[0].Ref, Reason: "a\x1b[31m\r\n\x00b " + strings.Repeat("ö", 2000)}}
	})
	stderr, code = l.git("hello", "push", "lain", "main")
	if code != 1 || !strings.Contains(stderr, "(a [31m b öö") || strings.Contains(stderr, "\x1b[31m") || !strings.Contains(stderr, "ö…)") {
		t.Fatalf("%d %s", code, stderr)
	}
	if got := l.refs("hello"); got != "" {
		t.Fatal(got)
	}
}

func TestPushWithNoAnswerOrAPanicIsRefused(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.onReceive(func(context.Context, Push) []Answer { return nil })
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 1 || !strings.Contains(stderr, "(internal error: the push was not answered)") {
		t.Fatalf("%d %s", code, stderr)
	}
	l.onReceive(func(context.Context, Push) []Answer { panic("as asked") })
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 1 || !strings.Contains(stderr, "! [remote rejected]") {
		t.Fatalf("%d %s", code, stderr)
	}
	l.onReceive(accept)
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 0 {
		t.Fatal(stderr)
	}
}

func TestAnswersMayNameAnotherRefOrValue(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.onReceive(func(_ context.Context, p Push) []Answer {
		return []Answer{{Ref: p.Commands[0].Ref, NewRef: "refs/lain/runs/r-42"}}
	})
	stderr, code := l.git("hello", "push", "lain", "main")
	if code != 0 || !strings.Contains(stderr, "* [new reference]   main -> refs/lain/runs/r-42") {
		t.Fatalf("%d %s", code, stderr)
	}
	first := lain.Commit(l.must("hello", "rev-parse", "HEAD"))
	l.onReceive(accept)
	l.must("hello", "push", "-q", "lain", "main")
	second := lain.Commit(l.commit("hello", "a", "1"))
	third := l.commit("hello", "a", "2")
	l.onReceive(func(ctx context.Context, p Push) []Answer { // as a push that waited while main moved
		if err := p.Repo.UpdateRef(ctx, "refs/heads/main", p.Commands[0].New, first); err != nil {
			t.Error(err)
		}
		return []Answer{{Ref: p.Commands[0].Ref, Old: second, New: p.Commands[0].New, Forced: true}}
	})
	stderr, code = l.git("hello", "push", "lain", "main")
	if code != 0 || !strings.Contains(stderr, "+ "+second.Short()+"..."+third[:7]+" main -> main (forced update)") {
		t.Fatalf("%d %s", code, stderr)
	}
}

func TestAtomicAndOptionsReachReceive(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	got := make(chan Push, 1)
	l.onReceive(func(_ context.Context, p Push) (answers []Answer) {
		got <- p
		for _, c := range p.Commands {
			answers = append(answers, Answer{Ref: c.Ref, Reason: "an --atomic push of main and others is not taken"})
		}
		return answers
	})
	hostile := "a;b $(id) `id` 'x\" --detach\u001b[31m"
	stderr, code := l.git("hello", "push", "--atomic", "-o", "detach", "-o", hostile, "lain", "main", "main:other")
	p := <-got
	if code != 1 || !p.Atomic || !slices.Equal(p.Options, []string{"detach", hostile}) || len(p.Commands) != 2 {
		t.Fatalf("%d %+v %s", code, p, stderr)
	}
	if !strings.Contains(stderr, "(an --atomic push of main and others is not taken)") {
		t.Fatal(stderr)
	}
	args := []string{"push"}
	for i := range 65 {
		args = append(args, "-o", fmt.Sprint(i))
	}
	if stderr, code := l.git("hello", append(args, "lain", "main")...); code != 1 || !strings.Contains(stderr, "lain: git sent more than 64 lines") {
		t.Fatalf("%d %s", code, stderr)
	}
}

// waiting is a Receive that tells when it begins and why it ends.
func waiting(l *lab) (began chan Push, ended chan error) {
	began, ended = make(chan Push, 1), make(chan error, 1)
	l.onReceive(func(ctx context.Context, p Push) []Answer {
		began <- p
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil
	})
	return began, ended
}

func TestCtrlCReachesReceiveWithinASecond(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "kill -9": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.tree("hello")
			began, ended := waiting(l)
			cmd := l.gitCmd("hello", "push", "lain", "main")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-began
			if err := syscall.Kill(-cmd.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, ErrClientGone) {
					t.Fatal(err)
				}
			case <-time.After(time.Second):
				t.Fatal("Receive was not told within a second")
			}
			_ = cmd.Wait()
			l.closedSoon(1)
			l.noQuarantine("hello")
			if got := l.refs("hello"); got != "" {
				t.Fatal(got)
			}
		})
	}
}

func (l *lab) closedSoon(n int) {
	l.t.Helper()
	eventually(l.t, 8*time.Second, "the push is closed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.closed == n
	})
}

func TestCtrlCOfASharedConnectionReachesReceive(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	began, ended := waiting(l)
	control := filepath.Join(filepath.Dir(l.server.o.HookSocket), "c")
	shared := append(l.sshArgs("alice"), "-o", "ControlPath="+control)
	master := exec.Command("ssh", append(shared, "-o", "ControlMaster=yes", "-N", "lain@127.0.0.1")...)
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = master.Process.Kill()
		_ = master.Wait()
	}()
	eventually(t, 5*time.Second, "a shared connection", func() bool { _, err := os.Stat(control); return err == nil })
	cmd := l.gitCmd("hello", "push", "lain", "main")
	cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh "+strings.Join(append(shared, "-o", "ControlMaster=no"), " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-began
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrClientGone) {
			t.Fatal(err)
		}
	case <-time.After(time.Second):
		t.Fatal("Receive was not told within a second")
	}
	_ = cmd.Wait()
	l.closedSoon(1)
}

func TestAnUploadThatIsCutLeavesNothing(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	big := make([]byte, 40<<20)
	for i := range big { // does not compress
		big[i] = byte(i*i>>7 ^ i*31>>3 ^ i>>11)
	}
	l.commit("hello", "big", string(big))
	cmd := l.gitCmd("hello", "push", "lain", "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	quarantine := filepath.Join(l.dir, "..", "repos", "hello.git", "objects", "tmp_objdir*")
	eventually(t, 20*time.Second, "the upload begins", func() bool { left, _ := filepath.Glob(quarantine); return len(left) > 0 })
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	l.closedSoon(1)
	l.noQuarantine("hello")
}

func TestReceiveMayGoOnWithoutAClient(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	began, proceed := make(chan struct{}), make(chan struct{})
	l.onReceive(func(ctx context.Context, p Push) []Answer { // a rollout that is not cut short
		close(began)
		<-ctx.Done()
		<-proceed
		return accept(context.WithoutCancel(ctx), p)
	})
	cmd := l.gitCmd("hello", "push", "lain", "main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-began
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	_ = cmd.Wait()
	close(proceed)
	l.closedSoon(1)
	if got := l.refs("hello"); !strings.HasPrefix(got, "refs/heads/main ") {
		t.Fatalf("the ref did not move: %q", got)
	}
}

func TestReceiveIsToldWhenGitDies(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	began, ended := waiting(l)
	cmd := l.gitCmd("hello", "push", "lain", "main")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-began
	killed := 0
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs { // the receive-pack of this test's repository, and its hook
		cwd, _ := os.Readlink(p + "/cwd")
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(p), "%d", &pid); err == nil && strings.HasSuffix(cwd, "/hello.git") && strings.HasPrefix(cwd, filepath.Dir(l.dir)) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			killed++
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrClientGone) || killed == 0 {
			t.Fatal(err, killed)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Receive was not told")
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the client was told success")
	}
	l.closedSoon(1)
}

func TestASHA256ClientIsToldWhatToDo(t *testing.T) {
	l := newLab(t)
	l.tree("long", "--object-format=sha256")
	cmd := l.gitCmd("long", "push", "lain", "main")
	_, stderr, code := l.run(cmd)
	t.Logf("exit %d\n%s", code, stderr)
	if code == 0 || !strings.Contains(stderr, "lain: nothing was pushed. A SHA-256 repository needs its app made first: ssh … apps create long --object-format sha256") {
		t.Fatal("the hint is missing")
	}
	if _, err := l.store.Create(t.Context(), "long2", repo.SHA256); err != nil {
		t.Fatal(err)
	}
	if stderr, code := l.git("long", "push", l.url("long2"), "main"); code != 0 {
		t.Fatal(stderr)
	}
}

func TestNothingToPushIsNoObjectFormat(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.must("hello", "push", "-q", "lain", "main")
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 0 || strings.Contains(stderr, "SHA-256") {
		t.Fatalf("%d %s", code, stderr)
	}
}

func TestAShallowPushSaysSo(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.commit("hello", "a", "1")
	l.must(".", "clone", "-q", "--depth=1", "file://"+filepath.Join(l.dir, "hello"), "shallow")
	stderr, code := l.git("shallow", "push", l.url("hello"), "main")
	t.Logf("exit %d\n%s", code, stderr)
	if code != 1 || !strings.Contains(stderr, "(shallow update not allowed)") || !strings.Contains(stderr, "push again: git fetch --unshallow") {
		t.Fatal("not refused")
	}
}

func TestHostileTreesAreRefused(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	blob := l.must("hello", "hash-object", "-w", "lain.yaml")
	raw, _ := exec.Command("git", "-C", filepath.Join(l.dir, "hello"), "rev-parse", blob).Output()
	id := make([]byte, 20)
	if _, err := fmt.Sscanf(strings.TrimSpace(string(raw)), "%x", &id); err != nil {
		t.Fatal(err)
	}
	entry := func(mode, name string) string { return mode + " " + name + "\x00" + string(id) }
	for name, content := range map[string]string{
		".git":       entry("100644", ".git"),
		".GIT":       entry("100644", ".GIT"),
		"GIT~1":      entry("100644", "GIT~1"),
		"HFS .git":   entry("100644", ".g\u200cit"),
		"dot dot":    entry("100644", ".."),
		"slash":      entry("100644", "a/b"),
		"duplicate":  entry("100644", "a") + entry("100644", "a"),
		"unsorted":   entry("100644", "b") + entry("100644", "a"),
		"padded":     entry("0100644", "a"),
		"no name":    entry("100644", ""),
		"modules":    entry("120000", ".gitmodules"),
		"dir .git":   entry("40000", ".git"),
		"zero entry": "100644 a\x00" + strings.Repeat("\x00", 20),
	} {
		t.Run(name, func(t *testing.T) {
			cmd := l.gitCmd("hello", "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
			cmd.Stdin = strings.NewReader(content)
			tree, stderr, code := l.run(cmd)
			if code != 0 {
				t.Fatal(stderr)
			}
			commit := l.must("hello", "commit-tree", "-m", "x", strings.TrimSpace(tree))
			cmd = l.gitCmd("hello", "push", "lain", commit+":refs/heads/main")
			if _, stderr, code := l.run(cmd); code == 0 {
				t.Fatal(stderr)
			}
		})
	}
	if got := l.refs("hello"); got != "" {
		t.Fatal(got)
	}
	l.noQuarantine("hello")
}

func TestHiddenRefsCannotBePushedOrSeen(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	l.must("hello", "push", "-q", "lain", "main")
	if stderr, code := l.git("hello", "push", "lain", "main:refs/lain/runs/r-1"); code != 1 || !strings.Contains(stderr, "deny updating a hidden ref") {
		t.Fatalf("%d %s", code, stderr)
	}
	r, _ := l.store.Open(t.Context(), "hello")
	if err := r.UpdateRef(t.Context(), "refs/lain/runs/r-2", lain.Commit(l.must("hello", "rev-parse", "HEAD")), ""); err != nil {
		t.Fatal(err)
	}
	if got := l.must("hello", "ls-remote", "lain"); strings.Contains(got, "refs/lain") {
		t.Fatal(got)
	}
}

// rawPush speaks git's protocol itself: one command for main, then whatever pack it is given.
func (l *lab) rawPush(app string, pack []byte) string {
	l.t.Helper()
	cmd := exec.Command("ssh", append(l.sshArgs("alice"), "lain@127.0.0.1", "git-receive-pack '"+app+"'")...)
	line := strings.Repeat("0", 40) + " " + strings.Repeat("1", 40) + " refs/heads/main\x00 report-status\n"
	cmd.Stdin = io.MultiReader(strings.NewReader(fmt.Sprintf("%04x%s0000", len(line)+4, line)), bytes.NewReader(pack))
	out, stderr, _ := l.run(cmd)
	return out + stderr
}

func TestCraftedPacksCostOnePush(t *testing.T) {
	l := newLab(t)
	l.onReceive(func(context.Context, Push) []Answer { t.Error("Receive was asked"); return nil })
	header := func(count uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("PACK"), 2), count)
	}
	for name, pack := range map[string][]byte{
		"2^32-1 objects":     header(0xffffffff),
		"a tebibyte":         append(header(1), 0xb0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 'x'),
		"truncated":          header(2),
		"no pack":            []byte("hello"),
		"nothing after this": nil,
	} {
		out := l.rawPush("hello", pack)
		if strings.Contains(out, "ok refs/heads/main") {
			t.Errorf("%s was taken: %q", name, out)
		}
	}
	l.closedSoon(5)
	l.noQuarantine("hello")
	l.onReceive(accept)
	l.tree("hello")
	l.must("hello", "push", "-q", "lain", "main")
}

func TestAPackMayNotBeTooLarge(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	big := make([]byte, 65<<20)
	f, err := os.Open("/dev/urandom")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, big); err != nil {
		t.Fatal(err)
	}
	l.commit("hello", "big", string(big))
	stderr, code := l.git("hello", "-c", "core.compression=0", "push", "lain", "main")
	if code == 0 || !strings.Contains(stderr, "pack exceeds maximum allowed size") {
		t.Fatalf("%d %s", code, stderr)
	}
	l.closedSoon(1)
	l.noQuarantine("hello")
}

func TestManyPushesAtOnce(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	done := make(chan string, 12)
	for i := range cap(done) {
		cmd := l.gitCmd("hello", "push", l.url(fmt.Sprintf("app-%d", i)), "main")
		go func() {
			out, err := cmd.CombinedOutput()
			if err == nil {
				out = nil
			}
			done <- string(out)
		}()
	}
	for range cap(done) {
		if out := <-done; out != "" {
			t.Error(out)
		}
	}
}
