package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"lain.internal/lain/lain"
	"lain.internal/lain/pktline"
)

func listen(t *testing.T, uid uint32) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "hook")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := Listen(Options{Socket: filepath.Join(dir, "s"), UID: uid, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// me is the user of this test, who plays git.
func me() uint32 { return uint32(os.Geteuid()) }

const (
	zero = "0000000000000000000000000000000000000000"
	one  = "1111111111111111111111111111111111111111"
)

// push is what git writes for a push of main.
func push(capabilities string, options ...string) string {
	var b bytes.Buffer
	w := pktline.NewWriter(&b)
	_ = w.Data([]byte("version=1\x00" + capabilities + "\n"))
	_ = w.Flush()
	_ = w.Data([]byte(zero + " " + one + " refs/heads/main"))
	_ = w.Flush()
	if strings.Contains(capabilities, "push-options") {
		for _, o := range options {
			_ = w.Data([]byte(o))
		}
		_ = w.Flush()
	}
	return b.String()
}

// run plays git's side: the hook with the given input and environment.
func run(env []string, stdin io.Reader) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = Run("/x/hooks/proc-receive", func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}, stdin, &out, &errs)
	return out.String(), errs.String(), code
}

func TestHookCarriesAPushThereAndBack(t *testing.T) {
	s := listen(t, me())
	ticket := s.Expect(t.Context(), func(_ context.Context, r Request) []Answer {
		if len(r.Commands) != 1 || r.Commands[0] != (Command{lain.Commit(zero), lain.Commit(one), "refs/heads/main"}) || !r.Atomic || r.Options[0] != "detach" {
			t.Errorf("%+v", r)
		}
		_, _ = io.WriteString(r.Progress, strings.Repeat("x", 3*maxFrame))
		return []Answer{{Ref: "refs/heads/main", NewRef: "refs/lain/runs/r-1", Old: one, Forced: true}}
	})
	defer ticket.Close()
	out, stderr, code := run(ticket.Env(), strings.NewReader(push("atomic push-options", "detach")))
	want := "0021version=1\x00atomic push-options0000" + "0016ok refs/heads/main" + "0025option refname refs/lain/runs/r-1" +
		"003boption old-oid " + one + "0018option forced-update" + "0000"
	if code != 0 || len(stderr) != 3*maxFrame || out != want {
		t.Fatalf("%d %d %q\nwant %q", code, len(stderr), out, want)
	}
}

// strip takes the lengths off, which the framing's own tests are about.
func strip(s string) string {
	r := pktline.NewReader(strings.NewReader(s))
	var b strings.Builder
	for {
		p, k, err := r.Next()
		if err != nil {
			return b.String()
		}
		fmt.Fprintf(&b, "%d:%s\n", k, p)
	}
}

func TestATokenIsGoodForOneHook(t *testing.T) {
	s := listen(t, me())
	ticket := s.Expect(t.Context(), func(context.Context, Request) []Answer { return nil })
	defer ticket.Close()
	wrong := []string{ticket.Env()[0], TokenEnv + "=" + strings.Repeat("0", 64)}
	if _, stderr, code := run(wrong, strings.NewReader(push(""))); code != 1 || !strings.Contains(stderr, "went away") {
		t.Fatal(code, stderr)
	}
	if out, _, code := run(ticket.Env(), strings.NewReader(push(""))); code != 0 || !strings.Contains(out, "ng refs/heads/main internal error") {
		t.Fatal(code, out)
	}
	if _, _, code := run(ticket.Env(), strings.NewReader(push(""))); code != 1 {
		t.Fatal("a token was good twice")
	}
	closed := s.Expect(t.Context(), nil)
	closed.Close()
	if _, _, code := run(closed.Env(), strings.NewReader(push(""))); code != 1 {
		t.Fatal("a closed ticket let a hook in")
	}
}

func TestOnlyGitsUserMayConnect(t *testing.T) {
	s := listen(t, 64646) // who is not running this test
	ticket := s.Expect(t.Context(), func(context.Context, Request) []Answer { t.Error("asked"); return nil })
	defer ticket.Close()
	if _, _, code := run(ticket.Env(), strings.NewReader(push(""))); code != 1 {
		t.Fatal(code)
	}
}

func TestTheEndOfTheContextEndsTheHook(t *testing.T) {
	s := listen(t, me())
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	began, may := make(chan struct{}), make(chan struct{})
	ticket := s.Expect(ctx, func(ctx context.Context, r Request) []Answer {
		close(began)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), gone) {
			t.Error(context.Cause(ctx))
		}
		<-may // goes on without anybody
		return []Answer{{Ref: "refs/heads/main"}}
	})
	go func() { <-began; cancel(gone) }()
	stdin, w := io.Pipe() // git keeps the hook's input open
	defer w.Close()
	go func() { _, _ = io.WriteString(w, push("")) }()
	if _, _, code := run(ticket.Env(), stdin); code != 1 {
		t.Fatal(code)
	}
	close(may)
	ticket.Close()
}

func TestAHookThatDiesEndsTheContext(t *testing.T) {
	s := listen(t, me())
	cause := make(chan error, 1)
	conn := make(chan net.Conn, 1)
	ticket := s.Expect(t.Context(), func(ctx context.Context, r Request) []Answer {
		_ = (<-conn).Close()
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil
	})
	defer ticket.Close()
	c, err := net.Dial("unix", s.o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &frameWriter{w: c}
	_ = f.frame(frameHello, []byte(ticket.token))
	_ = f.frame(frameStdin, []byte(push("")))
	conn <- c
	select {
	case err := <-cause:
		if !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not noticed")
	}
}

func TestAStuckPusherDoesNotHoldTheEnd(t *testing.T) {
	s := listen(t, me())
	ctx, cancel := context.WithCancel(t.Context())
	writing := make(chan struct{})
	ticket := s.Expect(ctx, func(ctx context.Context, r Request) []Answer {
		close(writing)
		for { // nobody reads: blocks, until the context frees it
			if _, err := r.Progress.Write(make([]byte, maxFrame)); err != nil {
				return nil
			}
		}
	})
	c, err := net.Dial("unix", s.o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := &frameWriter{w: c}
	_ = f.frame(frameHello, []byte(ticket.token))
	_ = f.frame(frameStdin, []byte(push("")))
	<-writing
	cancel()
	ticket.Close() // hangs when the write is not freed
}

func TestHookIsRunByGitOnly(t *testing.T) {
	var stderr bytes.Buffer
	if code := Run("/usr/bin/lain-hook", os.Getenv, nil, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "proc-receive") {
		t.Fatal(code, stderr.String())
	}
	if _, errs, code := run([]string{SocketEnv + "=/nowhere"}, strings.NewReader("")); code != 1 || !strings.Contains(errs, "cannot be reached") {
		t.Fatal(code, errs)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	good := zero + " " + one + " refs/heads/main"
	for name, lines := range map[string][]string{
		"another version": {"version=2", "", good, ""},
		"no commands":     {"version=1", "", ""},
		"not a ref":       {"version=1", "", zero + " " + one + " HEAD", ""},
		"escape":          {"version=1", "", zero + " " + one + " refs/heads/\x1b[31m", ""},
		"newline":         {"version=1", "", zero + " " + one + " refs/heads/a\nng refs/heads/b", ""},
		"short id":        {"version=1", "", "0 1 refs/heads/main", ""},
		"mixed ids":       {"version=1", "", zero + zero[:24] + " " + one + " refs/heads/main", ""},
		"twice":           {"version=1", "", good, good, ""},
		"cut":             {"version=1", "", good},
		"long ref":        {"version=1", "", good + strings.Repeat("a", maxRef), ""},
		"long option":     {"version=1\x00push-options", "", good, "", strings.Repeat("a", maxOption+1), ""},
	} {
		var b bytes.Buffer
		w := pktline.NewWriter(&b)
		for _, line := range lines {
			if line == "" {
				_ = w.Flush()
				continue
			}
			_ = w.Data([]byte(line))
		}
		if r, err := newProtocol(&b, io.Discard).request(); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(push("")))
	f.Add([]byte(push("atomic push-options", "a", "b")))
	f.Add([]byte("0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newProtocol(bytes.NewReader(data), io.Discard).request()
		if err != nil {
			return
		}
		var out bytes.Buffer
		var answers []Answer
		for _, c := range r.Commands {
			answers = append(answers, Answer{Ref: c.Ref, Reason: strings.Join(r.Options, "\n") + "x"})
		}
		if err := newProtocol(nil, &out).answer(r, answers); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(strip(out.String()), ":ng refs/"); got < len(r.Commands) {
			t.Fatalf("%d answers to %d commands", got, len(r.Commands))
		}
	})
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	w := &frameWriter{w: &b}
	_ = w.frame(frameHello, []byte("token"))
	_ = w.frame(frameExit, []byte{0})
	f.Add(b.Bytes())
	f.Add([]byte{'I', 0xff, 0xff, 0xff, 0xff, 'x'})
	f.Add([]byte{'?', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var again bytes.Buffer
		out := &frameWriter{w: &again}
		buf := make([]byte, maxFrame)
		for {
			k, p, err := readFrame(r, buf)
			if err != nil {
				break
			}
			_ = out.frame(k, p)
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Fatalf("%q became %q", data, again.Bytes())
		}
		copyDown(bytes.NewReader(data), io.Discard, io.Discard)
	})
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "web is down", "a\nb\x1b[0m", "\xff\xfe", strings.Repeat("ö", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if got == "" || len(got) > maxReason || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q", got)
		}
	})
}
