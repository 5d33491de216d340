package vaultbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"lain.internal/lain/lain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real Vault of a test's own, with its root token and its unseal key in the test's hands.
type world struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	root   *api.Client
	unseal string
}

// managerPolicy is what lain-vault gives the server, and what docs/secrets.md asks an admin to give it.
const managerPolicy = `
path "lain/data/*"     { capabilities = ["create", "read", "update"] }
path "lain/metadata/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "lain/delete/*"   { capabilities = ["update"] }
path "lain/undelete/*" { capabilities = ["update"] }
path "sys/policies/acl/lain-*"      { capabilities = ["create", "read", "update", "delete"] }
path "auth/approle/role/lain-*"     { capabilities = ["create", "read", "update", "delete"] }
path "auth/token/lookup-self"       { capabilities = ["read"] }
path "auth/token/renew-self"        { capabilities = ["update"] }
`

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "vb") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{t: t, dir: dir}
	w.start()
	w.root = w.client("")
	t.Cleanup(w.root.CloneConfig().HttpClient.CloseIdleConnections)
	w.setUp()
	return w
}

func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("LAIN_VAULT")
	if path == "" {
		path = "../bin/lain-vault"
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		t.Fatalf("this test needs a real Vault, and there is no lain-vault at %s: run make build, or name one in LAIN_VAULT", path)
	}
	return path
}

func (w *world) address() string { return "unix://" + w.dir + "/v.sock" }

// start runs the vault until it is killed or the test ends.
func (w *world) start() {
	w.t.Helper()
	w.cmd = exec.Command(binary(w.t), "-dir", w.dir+"/data", "-socket", w.dir+"/v.sock")
	w.cmd.Stdout, w.cmd.Stderr = w.t.Output(), w.t.Output()
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	cmd := w.cmd
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w.eventually("the vault listens", func() bool {
		c := w.client("")
		defer c.CloneConfig().HttpClient.CloseIdleConnections()
		_, err := c.Sys().SealStatusWithContext(w.t.Context())
		return err == nil
	})
}

func (w *world) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

func (w *world) signal(s syscall.Signal) {
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for what has to come; the minute guards against a test that hangs.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (w *world) client(token string) *api.Client {
	d := &door{o: Options{Address: w.address(), Timeout: time.Minute}}
	var err error
	if d.base, _, err = dial(d.o); err != nil {
		w.t.Fatal(err)
	}
	c, err := d.client(token)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) setUp() {
	w.t.Helper()
	ctx := w.t.Context()
	init, err := w.root.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.unseal = init.KeysB64[0]
	w.root.SetToken(init.RootToken)
	w.open()
	w.do("sys/mounts/lain", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	w.do("sys/auth/approle", map[string]any{"type": "approle"})
	w.do("sys/policies/acl/manager", map[string]any{"policy": managerPolicy})
	w.do("auth/approle/role/manager", map[string]any{"token_policies": "manager", "token_ttl": "1h", "token_no_default_policy": true})
	role, err := w.root.Logical().ReadWithContext(ctx, "auth/approle/role/manager/role-id")
	if err != nil {
		w.t.Fatal(err)
	}
	secret := w.do("auth/approle/role/manager/secret-id", nil)
	data, _ := json.Marshal(map[string]any{"role_id": role.Data["role_id"], "secret_id": secret.Data["secret_id"]})
	w.file("login", string(data))
	w.eventually("the KV engine is ready", func() bool {
		_, err := w.root.Logical().ListWithContext(ctx, "lain/metadata/")
		return err == nil
	})
}

func (w *world) file(name, text string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// do writes as root.
func (w *world) do(path string, data map[string]any) *api.Secret {
	w.t.Helper()
	s, err := w.root.Logical().WriteWithContext(w.t.Context(), path, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) seal() { w.do("sys/seal", nil) }

func (w *world) open() {
	w.t.Helper()
	if _, err := w.root.Sys().UnsealWithContext(w.t.Context(), w.unseal); err != nil {
		w.t.Fatal(err)
	}
}

// bridge is a Bridge with the management login, without patience unless change says so.
func (w *world) bridge(change ...func(*Options)) *Bridge {
	w.t.Helper()
	o := Options{Address: w.address(), Login: Login{AppRoleFile: w.dir + "/login"}, Cluster: "c1", Patience: -1,
		Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	b, err := Open(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	return b
}

func file(app lain.AppName, scope lain.SecretScope, path lain.SecretPath) FileRef {
	return FileRef{App: app, Scope: scope, Path: path}
}

func put(t *testing.T, b *Bridge, ref FileRef, value string) Version {
	t.Helper()
	v, err := b.PutFile(t.Context(), ref, File{Value: []byte(value)}, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func set(t *testing.T, b *Bridge, app lain.AppName, pairs ...string) Version {
	t.Helper()
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	v, err := b.SetConfig(t.Context(), app, values, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ended is a context that is over.
func ended() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("the pusher went away"))
	return ctx
}
