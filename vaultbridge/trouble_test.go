package vaultbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"lain.internal/lain/lain/fault"
)

// class checks that err is a fault for people, of one class and of no other.
func class(t *testing.T, what string, err, want error) {
	t.Helper()
	for _, c := range []error{ErrSealed, ErrGone, ErrSlow, ErrDenied, ErrNotFound, ErrConflict} {
		if errors.Is(err, c) != (c == want) {
			t.Errorf("%s: is %q: %v; %v", what, c, errors.Is(err, c), err)
		}
	}
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Hint == "" || strings.Contains(f.Sentence, "\n") {
		t.Errorf("%s: not a sentence for people: %+v", what, f)
	}
}

func patient(o *Options) { o.Patience = time.Minute }
func hasty(o *Options)   { o.Timeout = 200 * time.Millisecond }

func TestTrouble_SealedAndRecovery(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	ref := file("hello", "web", "/a")
	put(t, b, ref, "one")
	w.seal()
	_, _, err := b.GetFile(t.Context(), ref, 0)
	class(t, "read", err, ErrSealed)
	_, err = b.PutFile(t.Context(), ref, File{}, "ann")
	class(t, "write", err, ErrSealed)
	class(t, "health", b.Health(t.Context()), ErrSealed)

	waiting := make(chan error)
	go func() {
		_, err := b.WithPatience(time.Minute).PutFile(t.Context(), ref, File{Value: []byte("two")}, "ann")
		waiting <- err
	}()
	w.open()
	if err := <-waiting; err != nil {
		t.Errorf("a patient write: %v", err)
	}
	if f, _, err := b.GetFile(t.Context(), ref, 0); err != nil || string(f.Value) != "two" {
		t.Errorf("after: %q %v", f.Value, err)
	}
	if err := b.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTrouble_GoneAndRecovery(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	ref := file("hello", "web", "/a")
	put(t, b, ref, "one")
	w.kill()
	_, _, err := b.GetFile(t.Context(), ref, 0)
	class(t, "read", err, ErrGone)
	_, err = b.PutFile(t.Context(), ref, File{}, "ann")
	class(t, "write", err, ErrGone)
	if Unsettled(err) {
		t.Errorf("nobody was asked to write: %v", err)
	}
	waiting := make(chan string)
	go func() {
		f, _, err := w.bridge(patient).GetFile(t.Context(), ref, 0)
		waiting <- fmt.Sprint(string(f.Value), " ", err)
	}()
	w.start()
	w.open()
	if got := <-waiting; got != "one <nil>" {
		t.Errorf("a patient read: %s", got)
	}
}

func TestTrouble_SlowAndRecovery(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	ref := file("hello", "web", "/a")
	put(t, b, ref, "one")
	quick := w.bridge(hasty)
	if err := quick.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.signal(syscall.SIGSTOP)
	_, _, err := quick.GetFile(t.Context(), ref, 0)
	class(t, "read", err, ErrSlow)
	p, _ := quick.place(ref)
	err = quick.remove(t.Context(), p, 1)
	class(t, "write", err, ErrSlow)
	if !Unsettled(err) {
		t.Errorf("the vault may have done it: %v", err)
	}
	w.signal(syscall.SIGCONT)
	w.eventually("the vault answers again", func() bool { return b.Health(t.Context()) == nil })
	if _, err := b.FileHistory(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// A vault that breaks off in the middle of a write leaves open whether it was done; it is not repeated.
func TestTrouble_BrokenOffInTheMiddle(t *testing.T) {
	dir := newWorld(t).dir
	l, err := net.Listen("unix", dir+"/half.sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			asked <- strings.SplitN(string(buf[:n]), "\r\n", 2)[0]
			_ = c.Close()
		}
	}()
	b, err := Open(Options{Address: "unix://" + dir + "/half.sock", Login: Login{TokenFile: "none"}, Cluster: "c1", Patience: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	b.manager.login = func(context.Context, *api.Client) (grant, error) { return grant{token: "t"}, nil }
	p, _ := b.configPlace("hello")
	err = b.remove(t.Context(), p, 1)
	class(t, "write", err, ErrGone)
	if !Unsettled(err) || len(asked) != 1 {
		t.Errorf("asked %d times: %v", len(asked), err)
	}
	_, err = b.look(t.Context(), b.manager, p)
	class(t, "read", err, ErrGone)
	if Unsettled(err) || len(asked) < 3 {
		t.Errorf("a read is asked again: %d times in all, %v", len(asked), err)
	}
}

func TestTrouble_DeniedAndRevoked(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	ref := file("hello", "web", "/a")
	put(t, b, ref, "one")
	if _, err := NewCourier(b, &fakeEngine{}).Deliver(t.Context(), "hello", needs("/a")); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*session{"the server's token": b.manager, "the application's token": b.app("hello")} {
		w.do("auth/token/revoke", map[string]any{"token": s.client.Token()})
		if _, _, err := b.GetFile(t.Context(), ref, 0); err != nil {
			t.Errorf("%s was revoked: %v", name, err)
		}
		if _, err := NewCourier(b, &fakeEngine{}).Deliver(t.Context(), "hello", needs("/a")); err != nil {
			t.Errorf("%s was revoked: %v", name, err)
		}
	}
	w.do("auth/token/revoke", map[string]any{"token": b.manager.client.Token()})
	b.forget("hello")
	if _, err := NewCourier(b, &fakeEngine{}).Deliver(t.Context(), "hello", needs("/a")); err != nil {
		t.Errorf("the server's token was revoked before the application's login: %v", err)
	}
	w.do("sys/policies/acl/manager", map[string]any{"policy": `path "x" { capabilities = ["read"] }`})
	_, _, err := b.GetFile(t.Context(), ref, 0)
	class(t, "a right was taken away", err, ErrDenied)
	w.do("sys/policies/acl/manager", map[string]any{"policy": managerPolicy})
	if _, _, err := b.GetFile(t.Context(), ref, 0); err != nil {
		t.Errorf("it was given back: %v", err)
	}
}

func TestTrouble_Logins(t *testing.T) {
	w := newWorld(t)
	for name, l := range map[string]Login{
		"a wrong secret id": {AppRoleFile: w.file("wrong", `{"role_id":"x","secret_id":"y"}`)},
		"no JSON":           {AppRoleFile: w.file("text", "hunter2")},
		"no file":           {AppRoleFile: w.dir + "/none"},
		"a wrong token":     {TokenFile: w.file("token", "hvs.hunter2")},
		"two tokens":        {TokenFile: w.file("tokens", "a\nb")},
	} {
		err := w.bridge(func(o *Options) { o.Login = l }).Health(t.Context())
		class(t, name, err, ErrDenied)
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(errors.Unwrap(err).Error(), "hunter2") {
			t.Errorf("%s: the error holds what is in the file: %v", name, err)
		}
	}
	for name, l := range map[string]Login{"none": {}, "two": {AppRoleFile: "a", TokenFile: "b"}, "no key": {CertFile: "a"}} {
		if _, err := Open(Options{Address: w.address(), Cluster: "c1", Login: l}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, address := range []string{"", "http://10.0.0.1:8200", "ftp://x", "/run/x.sock"} {
		if _, err := Open(Options{Address: address, Cluster: "c1", Login: Login{TokenFile: "x"}}); err == nil {
			t.Errorf("%q: taken", address)
		}
	}
}

// renewedAt is when a token was last renewed, in seconds; 0 for never.
func (w *world) renewedAt(token string) int64 {
	w.t.Helper()
	s := w.do("auth/token/lookup", map[string]any{"token": token})
	last, _ := s.Data["last_renewal_time"].(json.Number)
	n, _ := last.Int64()
	return n
}

// A token of the file is renewed before it expires, and a new file is read when the old token is dead.
func TestLogin_TokenFile(t *testing.T) {
	w := newWorld(t)
	token := func(ttl string, renewable bool) string {
		return w.do("auth/token/create", map[string]any{"policies": []string{"manager"}, "ttl": ttl, "renewable": renewable}).Auth.ClientToken
	}
	for _, renewable := range []bool{true, false} {
		path := w.file("token", token("1h", renewable)+"\n")
		b := w.bridge(func(o *Options) { o.Login = Login{TokenFile: path} })
		put(t, b, file("hello", "web", "/a"), "one")
		b.manager.expires = time.Now().Add(-time.Second) // as if it had grown old
		if err := b.Health(t.Context()); err != nil {
			t.Errorf("at the end of its time: %v", err)
		}
		if renewed := w.renewedAt(b.manager.client.Token()) > 0; renewed != renewable {
			t.Errorf("renewable: %v, renewed: %v", renewable, renewed)
		}
		w.do("auth/token/revoke", map[string]any{"token": b.manager.client.Token()})
		class(t, "a dead token", b.Health(t.Context()), ErrDenied)
		w.file("token", token("1h", renewable))
		if err := b.Health(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestTrouble_TheCallersEndIsNotTheVaults(t *testing.T) {
	w := newWorld(t)
	_, err := w.bridge(patient).ListFiles(ended(), "hello")
	if err == nil || !strings.Contains(err.Error(), "the pusher went away") || classify(err) != nil {
		t.Errorf("%v", err)
	}
	w.kill()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the pusher went away"))
	defer cancel()
	if _, err := w.bridge(patient).ListFiles(ctx, "hello"); err == nil || !strings.Contains(err.Error(), "the pusher went away") {
		t.Errorf("while it waits: %v", err)
	}
}

// Nothing of the environment that other programs set for Vault counts.
func TestEnvironmentIsNotRead(t *testing.T) {
	w := newWorld(t)
	for key, value := range map[string]string{"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x", "VAULT_NAMESPACE": "x", "VAULT_AGENT_ADDR": "http://127.0.0.1:1"} {
		t.Setenv(key, value)
	}
	if err := w.bridge().Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// An application's role reaches its own subtree, to read, and nothing else.
func TestRole_LeastRights(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	for _, app := range []string{"hello", "hello-2", "other"} {
		put(t, b, FileRef{App: appName(app), Scope: "web", Path: "/a"}, app)
		set(t, b, appName(app), "A", app)
	}
	put(t, w.bridge(func(o *Options) { o.Cluster = "c2" }), file("hello", "web", "/a"), "of another cluster")
	if _, err := NewCourier(b, &fakeEngine{}).Deliver(t.Context(), "hello", needs("/a")); err != nil {
		t.Fatal(err)
	}
	c := b.app("hello").client.Logical()
	own, _ := b.filePlace("hello", "web", "/a")
	if s, err := c.ReadWithContext(t.Context(), b.data(own)); err != nil || s == nil {
		t.Errorf("its own: %v %v", s, err)
	}
	denied := func(what string, err error) {
		t.Helper()
		var answer *api.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != 403 {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, app := range []string{"hello-2", "other"} {
		p, _ := b.filePlace(appName(app), "web", "/a")
		config, _ := b.configPlace(appName(app))
		for _, path := range []string{b.data(p), b.metadata(p), b.data(config), b.data(own + "/../../../../" + p)} {
			_, err := c.ReadWithContext(t.Context(), path)
			denied("read "+path, err)
		}
	}
	for _, path := range []string{strings.Replace(b.data(own), "/c1/", "/c2/", 1), "sys/policies/acl/lain-c1-hello", "auth/approle/role/lain-c1-hello", "sys/mounts"} {
		_, err := c.ReadWithContext(t.Context(), path)
		denied("read "+path, err)
	}
	for _, path := range []string{"lain/metadata/", "lain/metadata/c1/", "lain/metadata/c1/hello-2/files/"} {
		_, err := c.ListWithContext(t.Context(), path)
		denied("list "+path, err)
	}
	_, err := c.WriteWithContext(t.Context(), b.data(own), map[string]any{"data": map[string]any{"value": ""}, "options": map[string]any{"cas": 1}})
	denied("write", err)
	_, err = c.DeleteWithContext(t.Context(), b.metadata(own))
	denied("delete", err)
	_, err = c.WriteWithContext(t.Context(), b.delete(own), map[string]any{"versions": []int{1}})
	denied("remove", err)
}

// What the vault stores names nobody's path and holds no value in the clear. (The audit and storage of
// lain-vault are tested where it lives.)
func TestPlace_NamesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	put(t, b, file("hello", "web", "/etc/planted-path"), "planted-value")
	err := walkFiles(w.dir+"/data", func(path string, data []byte) {
		for _, planted := range []string{"planted-value", "cGxhbnRlZC12YWx1Z", "planted-path"} {
			if strings.Contains(path, planted) || strings.Contains(string(data), planted) {
				t.Errorf("%s holds %s", path, planted)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func walkFiles(dir string, visit func(string, []byte)) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if e.IsDir() {
			if err := walkFiles(path, visit); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(path, data)
	}
	return err
}

// What was written by hand is not delivered as if it were nothing.
func TestEntriesOfStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	b := w.bridge()
	set(t, b, "hello", "A", "1")
	put(t, b, file("hello", "web", "/a"), "one")
	p, _ := b.filePlace("hello", "web", "/a")
	config, _ := b.configPlace("hello")
	c := NewCourier(b, &fakeEngine{})
	n := 1
	for _, data := range []map[string]any{{"password": "hunter2"}, {"value": "aHVudGVy", "size": 7, "mode": 256}, {"value": "", "size": 0}, {"value": "no base64!", "size": 1, "mode": 256},
		{"value": "", "size": 0, "mode": 4095}, {"value": 7}} {
		w.do(b.data(p), map[string]any{"data": data, "options": map[string]any{"cas": n}})
		n++
		if d, err := c.Deliver(t.Context(), "hello", needs("/a")); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v is delivered as %+v: %v", data, d, err)
		}
	}
	put(t, b, file("hello", "web", "/a"), "two")
	w.do(b.data(config), map[string]any{"data": map[string]any{"A": "hunter2"}, "options": map[string]any{"cas": 1}})
	if d, err := c.Deliver(t.Context(), "hello", needs("/a")); kind(err) != fault.Invalid || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("config is delivered as %+v: %v", d, err)
	}
	if _, err := b.RollbackConfig(t.Context(), "hello", 1, "ann"); err != nil {
		t.Error(err)
	}
	if _, err := c.Deliver(t.Context(), "hello", needs("/a")); err != nil {
		t.Error(err)
	}
}

func TestDecode_NamesNoValue(t *testing.T) {
	var into struct{ Size int }
	for _, from := range []any{map[string]any{"size": "hunter2"}, "hunter2", json.RawMessage(`{"size": 1e99}`), func() {}} {
		if err := decode(from, &into); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
