package town

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// OutsideVault is a vault that no laind looks after: its operator starts and unseals it, and has prepared it as
// the manual says.
type OutsideVault struct {
	VaultClient // as root
	t           testing.TB
	dir         string
	key         string
	process     *exec.Cmd
}

// outsidePolicy is what docs/secrets.md asks for.
const outsidePolicy = `
path "lain/data/*"              { capabilities = ["create", "read", "update"] }
path "lain/metadata/*"          { capabilities = ["create", "read", "update", "delete", "list"] }
path "lain/delete/*"            { capabilities = ["update"] }
path "lain/undelete/*"          { capabilities = ["update"] }
path "sys/policies/acl/lain-*"  { capabilities = ["create", "read", "update", "delete"] }
path "auth/approle/role/lain-*" { capabilities = ["create", "read", "update", "delete"] }
path "auth/token/lookup-self"   { capabilities = ["read"] }
path "auth/token/renew-self"    { capabilities = ["update"] }
`

// NewOutsideVault runs a vault on this machine, beside all towns, until the test ends.
func NewOutsideVault(t testing.TB) *OutsideVault {
	t.Helper()
	dir, err := os.MkdirTemp("", "lain-vault") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	v := &OutsideVault{VaultClient: VaultClient{Socket: filepath.Join(dir, "sock")}, t: t, dir: dir}
	t.Cleanup(func() {
		v.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	v.start()
	v.prepare()
	return v
}

// Args are what a laind that uses it is started with.
func (v *OutsideVault) Args() []string {
	return []string{"--vault-addr", "unix://" + v.Socket, "--vault-token-file", v.tokenFile()}
}

func (v *OutsideVault) tokenFile() string { return filepath.Join(v.dir, "token") }

// Kill ends it by SIGKILL; a second call does nothing.
func (v *OutsideVault) Kill() {
	if v.process != nil {
		_ = v.process.Process.Kill()
		_ = v.process.Wait()
	}
	v.process = nil
}

// Up starts it again and unseals it.
func (v *OutsideVault) Up() {
	v.t.Helper()
	v.start()
	v.must("PUT", "sys/unseal", map[string]any{"key": v.key}, nil)
}

func (v *OutsideVault) start() {
	v.t.Helper()
	data := filepath.Join(v.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		v.t.Fatal(err)
	}
	v.process = exec.Command(Bin("lain-vault"), "-dir", data, "-socket", v.Socket)
	v.process.Stderr = os.Stderr
	v.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := v.process.Start(); err != nil {
		v.t.Fatal(err)
	}
	answers := func() error { _, err := v.Sealed(v.t.Context()); return err }
	if err := Until(v.t.Context(), time.Minute, answers); err != nil {
		v.t.Fatal(err)
	}
}

// prepare makes it ready for a laind.
func (v *OutsideVault) prepare() {
	v.t.Helper()
	var made struct {
		Keys []string `json:"keys_base64"`
		Root string   `json:"root_token"`
	}
	v.must("PUT", "sys/init", map[string]int{"secret_shares": 1, "secret_threshold": 1}, &made)
	v.key, v.Token = made.Keys[0], made.Root
	v.must("PUT", "sys/unseal", map[string]any{"key": v.key}, nil)
	v.must("POST", "sys/mounts/lain", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil)
	v.must("POST", "sys/auth/approle", map[string]any{"type": "approle"}, nil)
	v.must("PUT", "sys/policies/acl/laind", map[string]any{"policy": outsidePolicy}, nil)
	var token struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	v.must("POST", "auth/token/create", map[string]any{"policies": []string{"laind"}, "period": "24h"}, &token)
	if err := os.WriteFile(v.tokenFile(), []byte(token.Auth.Token+"\n"), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

func (v *OutsideVault) must(method, path string, body, answer any) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	if err := v.Call(ctx, method, path, body, answer); err != nil {
		v.t.Fatal(errors.Join(errors.New("prepare the outside vault"), err))
	}
}
