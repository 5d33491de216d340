package gitserver

import (
	"bytes"
	"context"
	//lint:ignore SA1019 a key of this kind is what must be refused
	"crypto/dsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// liar has alice's public key and mallory's private one.
type liar struct{ public, private gossh.Signer }

func (l liar) PublicKey() gossh.PublicKey { return l.public.PublicKey() }
func (l liar) Sign(r io.Reader, data []byte) (*gossh.Signature, error) {
	return l.private.Sign(r, data)
}

// twoFaced asks about one key, and signs as another once that was liked.
type twoFaced struct {
	gossh.Signer // of the second
	offer        gossh.PublicKey
	asked        *int
}

func (f twoFaced) PublicKey() gossh.PublicKey { return face{f.Signer.PublicKey(), f.offer, f.asked} }

type face struct {
	gossh.PublicKey
	offer gossh.PublicKey
	asked *int
}

func (f face) Marshal() []byte {
	*f.asked++
	if *f.asked <= 2 { // the question, and the check of its answer
		return f.offer.Marshal()
	}
	return f.PublicKey.Marshal()
}

func dial(l *lab, signers ...gossh.Signer) (*gossh.Client, error) {
	return gossh.Dial("tcp", l.addr, &gossh.ClientConfig{User: "alice", Auth: []gossh.AuthMethod{gossh.PublicKeys(signers...)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second})
}

func output(t *testing.T, c *gossh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, _ := s.CombinedOutput(command)
	return string(out)
}

func TestAKeyThatIsOnlyOfferedIsNobody(t *testing.T) {
	l := newLab(t)
	alice, bob, stranger := l.addKey("ann"), l.addKey("bob"), l.newKey("stranger")
	for name, key := range map[string]gossh.Signer{"stranger": stranger, "bob signing as ann": liar{alice, bob}, "stranger signing as ann": liar{alice, stranger}} {
		if c, err := dial(l, key); err == nil {
			t.Errorf("%s got in: %s", name, output(t, c, "who"))
		}
	}
	c, err := dial(l, twoFaced{bob, alice.PublicKey(), new(int)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := output(t, c, "who"); got != "bob ran [\"who\"]\n" {
		t.Fatal(got)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.lookups); l.lookups[n-4] != gossh.FingerprintSHA256(alice.PublicKey()) {
		t.Fatalf("ann's key was not offered first: %q", l.lookups)
	}
}

func TestARemovedKeyIsOutAtOnce(t *testing.T) {
	l := newLab(t)
	bob := l.addKey("bob")
	c, err := dial(l, bob)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := output(t, c, "who"); got != "bob ran [\"who\"]\n" {
		t.Fatal(got)
	}
	l.mu.Lock()
	delete(l.people, gossh.FingerprintSHA256(bob.PublicKey()))
	l.mu.Unlock()
	if got := output(t, c, "who"); got != "lain: your key is not known here any more\n" {
		t.Fatal(got)
	}
}

func TestOnlyPublicKeysAreAsked(t *testing.T) {
	l := newLab(t)
	_, err := gossh.Dial("tcp", l.addr, &gossh.ClientConfig{User: "root", HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		Auth: []gossh.AuthMethod{gossh.Password("x"), gossh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) {
			return make([]string, len(q)), nil
		})}})
	if err == nil || !strings.Contains(err.Error(), "attempted methods [none]") {
		t.Fatal(err)
	}
}

func TestKeysAreOfGoodKinds(t *testing.T) {
	rsaKey := func(bits int) gossh.PublicKey {
		k := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: 65537}
		return mustKey(t, k)
	}
	for bits, ok := range map[int]bool{1024: false, 2047: false, 2048: true, 4096: true, 8192: true, 8193: false} {
		if err := CheckKey(rsaKey(bits)); (err == nil) != ok {
			t.Errorf("RSA of %d bits: %v", bits, err)
		}
	}
	var d dsa.PrivateKey
	if err := dsa.GenerateParameters(&d.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&d, rand.Reader); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	ed := l.newKey("ed").PublicKey()
	for name, key := range map[string]gossh.PublicKey{"DSA": mustKey(t, &d.PublicKey), "certificate": &gossh.Certificate{Key: ed, SignatureKey: ed}} {
		if CheckKey(key) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := CheckKey(ed); err != nil {
		t.Fatal(err)
	}
}

func mustKey(t *testing.T, k any) gossh.PublicKey {
	t.Helper()
	key, err := gossh.NewPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNothingButSessionsIsServed(t *testing.T) {
	l := newLab(t)
	c, err := dial(l, l.addKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "tun@openssh.com"} {
		if _, _, err := c.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel of kind %s was opened", kind)
		}
	}
	for _, kind := range []string{"tcpip-forward", "streamlocal-forward@openssh.com"} {
		if ok, _, err := c.SendRequest(kind, true, nil); ok || err != nil {
			t.Errorf("%s: %v %v", kind, ok, err)
		}
	}
	ch, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	go gossh.DiscardRequests(requests)
	env := func(name, value string) []byte { return gossh.Marshal(struct{ N, V string }{name, value}) }
	crafted := append(binary.BigEndian.AppendUint32(nil, 0xffffffff), "xterm"...) // a length that wraps
	for _, r := range []struct {
		kind    string
		payload []byte
		want    bool
	}{
		{"auth-agent-req@openssh.com", nil, false}, {"x11-req", nil, false}, {"subsystem", gossh.Marshal(struct{ S string }{"sftp"}), false},
		{"env", env("LANG", "C"), false}, {"env", env("GIT_PROTOCOL", "version=2\nX"), false}, {"env", env("GIT_PROTOCOL", strings.Repeat("a", 65)), false},
		{"env", env("GIT_PROTOCOL", "version=2"), true}, {"env", []byte{1}, false}, {"pty-req", crafted, false}, {"pty-req", nil, false},
		{"exec", crafted, false}, {"break", nil, false},
	} {
		if ok, err := ch.SendRequest(r.kind, true, r.payload); ok != r.want || err != nil {
			t.Errorf("%s %q: %v %v", r.kind, r.payload, ok, err)
		}
	}
}

func TestATerminalGetsCarriageReturns(t *testing.T) {
	l := newLab(t)
	l.onRun(func(_ context.Context, s Session, _ []string) int {
		_, _ = io.WriteString(s.Stdout, "a\nb\r\n")
		return s.Terminal.Size.Columns
	})
	c, err := dial(l, l.addKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 97, nil); err != nil {
		t.Fatal(err)
	}
	out, err := s.Output("x")
	if exit, ok := err.(*gossh.ExitError); string(out) != "a\r\nb\r\n" || !ok || exit.ExitStatus() != 97 {
		t.Fatalf("%q %v", out, err)
	}
}

// A command learns the terminal's name and size, and of its new sizes the last one at least; what it writes to Raw comes
// as it is.
func TestATerminalIsDescribed(t *testing.T) {
	l := newLab(t)
	asked := make(chan struct{})
	l.onRun(func(_ context.Context, s Session, _ []string) int {
		_, _ = fmt.Fprintf(s.Raw, "%s %v\n", s.Terminal.Name, s.Terminal.Size)
		<-asked
		_, _ = fmt.Fprintf(s.Raw, "%v\n", <-s.Terminal.Resized)
		return 0
	})
	c, err := dial(l, l.addKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm-256color", 24, 97, nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdout = &out
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	for rows := range 2 * maxRequests {
		if err := s.WindowChange(rows, 100_000); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := s.SendRequest("break", true, nil); ok || err != nil { // its answer comes behind all of them
		t.Fatal(ok, err)
	}
	close(asked)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "xterm-256color {97 24}\n{1000 1000}\n"; out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}

// A verb can tell the end of what a client sends from the end of the client, and a push of git's is not asked.
func TestTheEndOfTheInputIsNotTheEndOfTheClient(t *testing.T) {
	l := newLab(t)
	ends := make(chan error, 1)
	l.onRun(func(_ context.Context, s Session, _ []string) int {
		_, err := io.Copy(io.Discard, s.Stdin)
		ends <- err
		return 0
	})
	key := l.addKey("bob")
	for name, c := range map[string]struct {
		leave func(*gossh.Client, io.Closer)
		want  error
	}{
		"it has sent all":        {func(_ *gossh.Client, stdin io.Closer) { _ = stdin.Close() }, nil},
		"the connection is gone": {func(c *gossh.Client, _ io.Closer) { _ = c.Close() }, ErrClientGone},
		"the channel is let go":  {func(_ *gossh.Client, stdin io.Closer) { _ = stdin.(half).Channel.Close() }, ErrClientGone},
	} {
		client, err := dial(l, key)
		if err != nil {
			t.Fatal(err)
		}
		ch, requests, err := client.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go gossh.DiscardRequests(requests)
		if ok, err := ch.SendRequest("exec", true, gossh.Marshal(struct{ C string }{"x"})); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := ch.Write([]byte("the beginning")); err != nil {
			t.Fatal(err)
		}
		c.leave(client, half{ch})
		if err := <-ends; !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		_ = client.Close()
	}
}

// half closes one direction of a channel.
type half struct{ gossh.Channel }

func (h half) Close() error { return h.CloseWrite() }

func TestSessionsPerConnectionAreLimited(t *testing.T) {
	l := newLab(t, func(o *Options) { o.MaxSessionsPerConn = 3 })
	c, err := dial(l, l.addKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, err := c.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.NewSession(); err == nil {
		t.Fatal("a fourth session was opened")
	}
}

func TestAChannelWithoutACommandIsClosed(t *testing.T) {
	l := newLab(t, func(o *Options) { o.HandshakeTimeout = 300 * time.Millisecond; o.IdleTimeout = 300 * time.Millisecond })
	c, err := dial(l, l.addKey("bob"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, requests, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range requests { // closed with the channel
	}
	if err := c.Wait(); err == nil { // and then the connection, which has nothing to do
		t.Fatal("no error")
	}
}

// hold opens n connections that never prove a key: silent ones, ones that stop after the banner, and ones
// that go on sending.
func hold(t *testing.T, l *lab, n int) (open func() int) {
	t.Helper()
	closed := make(chan struct{}, n)
	for i := range n {
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if i%3 > 0 {
			_, _ = io.WriteString(c, "SSH-2.0-held\r\n")
		}
		stop := make(chan struct{})
		if i%3 == 2 {
			go drip(c, stop)
		}
		go func() {
			_, _ = io.Copy(io.Discard, c)
			close(stop)
			closed <- struct{}{}
		}()
	}
	return func() int { return n - len(closed) }
}

func drip(c net.Conn, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
			if _, err := c.Write([]byte{0}); err != nil {
				return
			}
		}
	}
}

func TestHeldConnectionsKeepNobodyOut(t *testing.T) {
	l := newLab(t)
	l.tree("hello")
	open := hold(t, l, 500)
	begun := time.Now()
	if stderr, code := l.git("hello", "push", "lain", "main"); code != 0 {
		t.Fatal(stderr)
	}
	t.Logf("pushed in %s beside %d held connections", time.Since(begun), open())
	eventually(t, 5*time.Second, "at most 64 of one address are open", func() bool { return open() <= 64 })
}

func TestTheHandshakeHasOneDeadline(t *testing.T) {
	l := newLab(t, func(o *Options) { o.HandshakeTimeout = time.Second })
	open := hold(t, l, 9)
	eventually(t, 3*time.Second, "all held connections are closed", func() bool { return open() == 0 })
	l.tree("hello")
	l.must("hello", "push", "-q", "lain", "main")
}

func TestTheOldestOfTheGreediestGivesWay(t *testing.T) {
	g := gate{max: 4, perAddress: 3}
	at := func(addr string) *conn { return &conn{from: netip.MustParsePrefix(addr + "/32")} }
	a1, a2, b1, c1 := at("10.0.0.1"), at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")
	for _, c := range []*conn{b1, a1, a2, c1} {
		if g.enter(c) != nil {
			t.Fatal("evicted too soon")
		}
	}
	if got := g.enter(at("10.0.0.4")); got != a1 {
		t.Fatalf("%v gave way, not the oldest of the address that has most", got)
	}
	g.leave(c1)
	g.leave(c1)
	a3, a4 := at("10.0.0.1"), at("10.0.0.1")
	if got := g.enter(a3); got != nil {
		t.Fatalf("%v", got)
	}
	if got := g.enter(a4); got != a2 {
		t.Fatalf("%v gave way", got)
	}
	for addr, want := range map[string]string{"10.1.2.3": "10.1.2.3/32", "::ffff:10.1.2.3": "10.1.2.3/32", "2001:db8::1:2": "2001:db8::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := origin(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1))); got.String() != want {
			t.Errorf("%s counts as %s", addr, got)
		}
	}
}

func TestADeadClientIsNoticed(t *testing.T) {
	l := newLab(t, func(o *Options) { o.KeepAlive = 300 * time.Millisecond })
	ended := make(chan error, 1)
	l.onRun(func(ctx context.Context, _ Session, _ []string) int {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return 0
	})
	cmd := exec.Command("ssh", append(l.sshArgs("alice"), "lain@127.0.0.1", "wait")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatal("a living client was cut off", err)
	case <-time.After(1500 * time.Millisecond):
	}
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	select {
	case err := <-ended:
		if err != ErrClientGone {
			t.Fatal(err)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("a client that does not answer was not noticed")
	}
}

func TestASlowLineIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := &conn{Conn: near}
		c.heard.Store(time.Now().UnixNano())
		stop := c.closeWhenSilent(30 * time.Second)
		for range 10 {
			go func() { _, _ = far.Write([]byte("x")) }()
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(11 * time.Second)
		if _, err := near.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Fatal("silence was not noticed", err)
		}
		stop()
		_ = far.Close()
	})
}

func TestAuditFindsNothing(t *testing.T) {
	l := newLab(t)
	_, port := l.host()
	if _, err := exec.LookPath("ssh-audit"); err != nil {
		t.Fatal("ssh-audit is needed")
	}
	cmd := exec.Command("ssh-audit", "-n", "-p", port, "127.0.0.1")
	cmd.Env = append(os.Environ(), "HOME="+l.dir)
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "(kex) curve25519-sha256") {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		unknown := strings.Contains(line, "unknown algorithm") // newer than this ssh-audit
		if strings.Contains(line, "[fail]") || strings.Contains(line, "[warn]") && !unknown {
			t.Error(line)
		}
	}
}
