package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/vaultbridge/local"
	"lain.internal/lain/vaultbridge/vaulttest"
)

// The test binary is also a server that starts Vault: TestMain looks at LAIN_LOCAL_TEST first.
func TestMain(m *testing.M) {
	switch os.Getenv("LAIN_LOCAL_TEST") {
	case "":
		os.Exit(m.Run())
	case "start": // and end, as a server that dies
		serve(os.Args[1], os.Args[2], os.Args[3])
	case "hold": // hold Vault still, and wait to be killed
		v := serve(os.Args[1], os.Args[2], os.Args[3])
		if _, err := v.Quiesce(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		select {}
	}
}

func serve(binary, dir, run string) *local.Vault {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	v, err := local.Start(context.Background(), local.Options{Binary: binary, Dir: dir, RunDir: run, Logger: log})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started", v.PID())
	return v
}

// server is a command that starts Vault in a process of its own.
func server(o local.Options, program, mode string) *exec.Cmd {
	cmd := exec.Command(program, o.Binary, o.Dir, o.RunDir)
	cmd.Env = []string{"LAIN_LOCAL_TEST=" + mode}
	return cmd
}

// room is a new folder for a Vault that is stopped when the test ends.
func room(t *testing.T) local.Options {
	t.Helper()
	o := vaulttest.Options(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := local.Down(ctx, o); err != nil {
			t.Error(err)
		}
	})
	return o
}

func start(t *testing.T, o local.Options) *local.Vault {
	t.Helper()
	v, err := local.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// watched runs the watch of v until the test ends.
func watched(t *testing.T, v *local.Vault) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) { // a poll with a deadline
		if time.Now().After(deadline) {
			t.Fatalf("not within 90s: %s", what)
		}
	}
}

func login(t *testing.T, v *local.Vault) string {
	t.Helper()
	token, err := tryLogin(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func tryLogin(ctx context.Context, v *local.Vault) (string, error) {
	data, err := os.ReadFile(v.Credentials())
	if err != nil {
		return "", err
	}
	var answer struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	err = v.Call(ctx, "", "POST", "auth/approle/login", json.RawMessage(data), &answer)
	return answer.Auth.ClientToken, err
}

type object = map[string]any

func put(t *testing.T, v *local.Vault, path, value string) {
	t.Helper()
	if err := v.Call(t.Context(), login(t, v), "POST", "lain/data/"+path, object{"data": object{"value": value}}, nil); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, v *local.Vault, path string) string {
	t.Helper()
	var answer struct {
		Data struct{ Data struct{ Value string } }
	}
	if err := v.Call(t.Context(), login(t, v), "GET", "lain/data/"+path, nil, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Data.Data.Value
}

func root(t *testing.T, v *local.Vault) string {
	t.Helper()
	token, err := v.GenerateRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestStart_makesAVaultThatServes(t *testing.T) {
	v := start(t, room(t))
	put(t, v, "test/app/one", "eins")
	if got := get(t, v, "test/app/one"); got != "eins" {
		t.Errorf("read %q", got)
	}
	var config struct {
		Data struct {
			Max int `json:"max_versions"`
		}
	}
	token := root(t, v)
	if err := v.Call(t.Context(), token, "GET", "lain/config", nil, &config); err != nil || config.Data.Max != local.MaxVersions {
		t.Errorf("it keeps %d versions, %v", config.Data.Max, err)
	}
	logMemory(t, v)
}

func logMemory(t *testing.T, v *local.Vault) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmLck") || strings.HasPrefix(line, "VmSwap") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func TestStart_nothingIsOpenToOthers(t *testing.T) {
	o := room(t)
	v := start(t, o)
	put(t, v, "test/app/one", "eins")
	for _, dir := range []string{o.Dir, filepath.Join(o.RunDir, "vault")} {
		closed(t, dir)
	}
	socket := strings.TrimPrefix(v.Address(), "unix://")
	if info, err := os.Stat(socket); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	for _, file := range []string{v.KeyFile(), v.Credentials(), v.AuditLog()} {
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

// closed checks that dir is closed to all but its owner, and so is everything that Vault makes in it.
func closed(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		inVault := strings.Contains(path, "/live/")
		if mode := info.Mode().Perm(); (d.IsDir() || inVault) && mode&0o077 != 0 || d.IsDir() && mode != 0o700 {
			t.Errorf("%s has mode %v", path, mode)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStart_memoryIsNeitherDumpedNorReadable(t *testing.T) {
	v := start(t, room(t))
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", v.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
			t.Errorf("core dumps: %s", line)
		}
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", v.PID()))
	if err != nil || bytes.Count(args, []byte{0}) != 5 {
		t.Errorf("arguments %q, %v", args, err)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", v.PID())); err != nil || len(env) > 0 {
		t.Errorf("environment %q, %v", env, err)
	}
}

func TestStart_leavesNoRootToken(t *testing.T) {
	v := start(t, room(t))
	if n := roots(t, v); n != 0 {
		t.Errorf("%d root tokens are left", n)
	}
}

// roots counts the root tokens beside the one it is counted with, which it revokes.
func roots(t *testing.T, v *local.Vault) int {
	t.Helper()
	token, n := root(t, v), -1
	var list struct{ Data struct{ Keys []string } }
	if err := v.Call(t.Context(), token, "LIST", "auth/token/accessors", nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, accessor := range list.Data.Keys {
		var found struct{ Data struct{ Policies []string } }
		err := v.Call(t.Context(), token, "POST", "auth/token/lookup-accessor", object{"accessor": accessor}, &found)
		if err == nil && strings.Join(found.Data.Policies, ",") == "root" {
			n++
		}
	}
	if err := v.Call(t.Context(), token, "POST", "auth/token/revoke-self", nil, nil); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLogin_mayDoWhatSecretsNeedAndNothingElse(t *testing.T) {
	v := start(t, room(t))
	token := login(t, v)
	value := object{"data": object{"value": "x"}}
	for _, c := range []struct {
		method, path string
		body         any
		may          bool
	}{
		{"POST", "lain/data/c/app/one", value, true},
		{"GET", "lain/data/c/app/one", nil, true},
		{"GET", "lain/metadata/c/app/one", nil, true},
		{"POST", "lain/metadata/c/app/one", object{"custom_metadata": object{"by": "me"}}, true},
		{"LIST", "lain/metadata/", nil, true},
		{"LIST", "lain/metadata/c/app", nil, true},
		{"POST", "lain/delete/c/app/one", object{"versions": []int{1}}, true},
		{"POST", "lain/undelete/c/app/one", object{"versions": []int{1}}, true},
		{"DELETE", "lain/data/c/app/one", nil, true},
		{"PUT", "lain/destroy/c/app/one", object{"versions": []int{1}}, true},
		{"DELETE", "lain/metadata/c/app/one", nil, true},
		{"PUT", "sys/policies/acl/lain-app", object{"policy": `path "lain/data/c/app/*" { capabilities = ["read"] }`}, true},
		{"GET", "sys/policies/acl/lain-app", nil, true},
		{"POST", "auth/approle/role/lain-app", object{"token_policies": []string{"lain-app"}}, true},
		{"GET", "auth/approle/role/lain-app/role-id", nil, true},
		{"POST", "auth/approle/role/lain-app/secret-id", object{}, true},
		{"LIST", "auth/approle/role/lain-app/secret-id", nil, true},
		{"DELETE", "auth/approle/role/lain-app", nil, true},
		{"DELETE", "sys/policies/acl/lain-app", nil, true},
		{"POST", "auth/token/renew-self", object{}, true},

		{"POST", "lain/config", object{"max_versions": 1}, false},
		{"GET", "sys/policies/acl/laind", nil, false},
		{"PUT", "sys/policies/acl/laind", object{"policy": ""}, false},
		{"PUT", "sys/policies/acl/default", object{"policy": ""}, false},
		{"PUT", "sys/policies/acl/other", object{"policy": ""}, false},
		{"PUT", "sys/policy/lain-app", object{"policy": ""}, false},
		{"POST", "auth/approle/role/laind", object{"token_policies": []string{"root"}}, false},
		{"GET", "auth/approle/role/laind/role-id", nil, false},
		{"POST", "auth/approle/role/laind/secret-id", object{}, false},
		{"POST", "auth/approle/role/other", object{}, false},
		{"POST", "auth/approle/tidy/secret-id", object{}, false},
		{"POST", "auth/token/create", object{}, false},
		{"GET", "cubbyhole/x", nil, false},
		{"GET", "sys/mounts", nil, false},
		{"POST", "sys/mounts/other", object{"type": "kv"}, false},
		{"DELETE", "sys/mounts/lain", nil, false},
		{"GET", "sys/audit", nil, false},
		{"DELETE", "sys/audit/file", nil, false},
		{"PUT", "sys/audit/more", object{"type": "file", "options": object{"file_path": "/tmp/x"}}, false},
		{"PUT", "sys/seal", nil, false},
		{"GET", "sys/raw/core/keyring", nil, false},
		{"GET", "sys/pprof/heap", nil, false},
		{"POST", "identity/entity", object{"name": "x"}, false},
	} {
		err := v.Call(t.Context(), token, c.method, c.path, c.body, nil)
		if c.may && err != nil {
			t.Error(err)
		}
		if !c.may && !local.Refused(err, 403, 404) {
			t.Errorf("%s %s: %v, want a refusal", c.method, c.path, err)
		}
	}
}

func TestAuditTrail_hasNoValue(t *testing.T) {
	v := start(t, room(t))
	const secret = "a-value-that-nobody-may-see"
	put(t, v, "test/app/one", secret)
	get(t, v, "test/app/one")
	token := login(t, v)
	trail, err := os.ReadFile(v.AuditLog())
	if err != nil || !bytes.Contains(trail, []byte(`"path":"lain/data/test/app/one"`)) {
		t.Fatalf("the trail has %d bytes, %v, and does not tell of the read", len(trail), err)
	}
	credentials, err := os.ReadFile(v.Credentials())
	if err != nil {
		t.Fatal(err)
	}
	var l struct {
		SecretID string `json:"secret_id"`
	}
	if err := json.Unmarshal(credentials, &l); err != nil || l.SecretID == "" {
		t.Fatal(err)
	}
	for what, hidden := range map[string]string{"the value": secret, "a token": token, "the login": l.SecretID} {
		if bytes.Contains(trail, []byte(hidden)) {
			t.Errorf("%s is in the audit trail", what)
		}
	}
}

func TestAuditTrail_isSetAside(t *testing.T) {
	v := start(t, room(t))
	if err := v.Rotate(1 << 30); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(v.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Rotate(1); err != nil {
		t.Fatal(err)
	}
	if moved, err := os.ReadFile(v.AuditLog() + ".1"); err != nil || !bytes.HasPrefix(moved, old) {
		t.Errorf("set aside: %d bytes of %d, %v", len(moved), len(old), err)
	}
	fresh := func() bool {
		data, err := os.ReadFile(v.AuditLog())
		return err == nil && bytes.Contains(data, []byte("auth/approle/login"))
	}
	eventually(t, "a new file is written", func() bool { login(t, v); return fresh() })
	if info, err := os.Stat(v.AuditLog()); err != nil || info.Mode() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}

	// A server that died between the two steps.
	if err := os.Rename(v.AuditLog(), v.AuditLog()+".1"); err != nil {
		t.Fatal(err)
	}
	if err := v.Rotate(1 << 30); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new file is written", func() bool { login(t, v); return fresh() })
}

func TestKilled_keepsWhatItHas(t *testing.T) {
	o := room(t)
	v := start(t, o)
	put(t, v, "test/app/one", "eins")
	before := v.PID()
	if err := v.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := start(t, o)
	if got := get(t, again, "test/app/one"); got != "eins" || again.PID() == before {
		t.Errorf("read %q of process %d, after %d", got, again.PID(), before)
	}
}

func TestStopped_keepsWhatItHas(t *testing.T) {
	o := room(t)
	v := start(t, o)
	put(t, v, "test/app/one", "eins")
	if err := v.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tryLogin(t.Context(), v); err == nil {
		t.Error("it still answers")
	}
	if got := get(t, start(t, o), "test/app/one"); got != "eins" {
		t.Errorf("read %q", got)
	}
}

func TestAdopt_aServerThatDiedLeavesItToTheNext(t *testing.T) {
	o := room(t)
	out, err := server(o, os.Args[0], "start").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	v := start(t, o)
	if got, want := fmt.Sprintln("started", v.PID()), string(out); got != want {
		t.Errorf("this one %s, the dead one %s", got, want)
	}
	login(t, v)
}

func TestAdopt_oneThatWasHeldStillGoesOn(t *testing.T) {
	o := room(t)
	dead := server(o, os.Args[0], "hold")
	out, err := dead.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 0, 100)
	for !bytes.Contains(seen, []byte("held")) {
		n, err := out.Read(seen[len(seen):cap(seen)])
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen = seen[:len(seen)+n]
	}
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait()
	v := start(t, o)
	login(t, v)
	if !strings.HasPrefix(string(seen), fmt.Sprintln("started", v.PID())) {
		t.Errorf("this one is %d, the dead one said %q", v.PID(), seen)
	}
}

func TestAdopt_oneOfAnotherBuildOrSocketIsReplaced(t *testing.T) {
	o := room(t)
	v := start(t, o)
	put(t, v, "test/app/one", "eins")
	before := v.PID()
	other := o
	other.RunDir = filepath.Join(o.RunDir, "else")
	v = start(t, other)
	if got := get(t, v, "test/app/one"); got != "eins" || v.PID() == before {
		t.Errorf("with another socket: read %q of process %d, after %d", got, v.PID(), before)
	}
	before = v.PID()
	data, err := os.ReadFile(o.Binary)
	if err != nil {
		t.Fatal(err)
	}
	other.Binary = filepath.Join(o.RunDir, "lain-vault")
	if err := os.WriteFile(other.Binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	v = start(t, other)
	if got := get(t, v, "test/app/one"); got != "eins" || v.PID() == before {
		t.Errorf("of another build: read %q of process %d, after %d", got, v.PID(), before)
	}
}

func TestRun_startsADeadOneAgain(t *testing.T) {
	v := start(t, room(t))
	watched(t, v)
	for range 2 {
		before := v.PID()
		if err := v.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another serves", func() bool {
			_, err := tryLogin(t.Context(), v)
			return err == nil && v.PID() != before
		})
	}
}

func TestRun_unsealsASealedOne(t *testing.T) {
	v := start(t, room(t))
	token := root(t, v)
	watched(t, v)
	if err := v.Call(t.Context(), token, "PUT", "sys/seal", nil, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is unsealed", func() bool { sealed, err := v.Sealed(t.Context()); return err == nil && !sealed })
	login(t, v)
}

func TestRun_aSocketThatWasRemovedComesBack(t *testing.T) {
	v := start(t, room(t))
	if err := os.Remove(strings.TrimPrefix(v.Address(), "unix://")); err != nil {
		t.Fatal(err)
	}
	watched(t, v)
	eventually(t, "it answers", func() bool { _, err := tryLogin(t.Context(), v); return err == nil })
}

func TestRun_oneThatIsHeldStillIsWoken(t *testing.T) {
	v := start(t, room(t))
	before := v.PID()
	if err := v.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	watched(t, v)
	eventually(t, "it answers", func() bool { _, err := v.Sealed(t.Context()); return err == nil })
	if v.PID() != before {
		t.Error("it was replaced")
	}
}

func TestASecondProcessOnTheSameFolderIsRefused(t *testing.T) {
	o := room(t)
	v := start(t, o)
	second := exec.Command(o.Binary, "-dir", v.Home(), "-socket", filepath.Join(o.RunDir, "second.sock"))
	out, err := second.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "another lain-vault serves") {
		t.Errorf("%v: %s", err, out)
	}
	login(t, v)
}

func TestQuiesce_aCopyIsAWholeVault(t *testing.T) {
	o := room(t)
	v := start(t, o)
	stop, writer := make(chan struct{}), make(chan int)
	token := login(t, v)
	go func() {
		n := 0
		defer func() { writer <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			err := v.Call(context.Background(), token, "POST", "lain/data/test/app/n", object{"data": object{"value": fmt.Sprint(n)}}, nil)
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	eventually(t, "something is written", func() bool { return v.Call(t.Context(), token, "GET", "lain/data/test/app/n", nil, nil) == nil })
	release, err := v.Quiesce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	copied := room(t)
	if err := os.CopyFS(copied.Dir, os.DirFS(o.Dir)); err != nil {
		t.Error(err)
	}
	release()
	release()
	close(stop)
	if n := <-writer; n == 0 {
		t.Error("nothing was written")
	}
	if get(t, start(t, copied), "test/app/n") == "" {
		t.Error("the copy has no value")
	}
	login(t, v)
}

func TestSettle_repairsALostLogin(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, *local.Vault){
		"the file is gone":        func(t *testing.T, v *local.Vault) { remove(t, v.Credentials()) },
		"the file is garbage":     func(t *testing.T, v *local.Vault) { write(t, v.Credentials(), "{") },
		"it is another's":         func(t *testing.T, v *local.Vault) { write(t, v.Credentials(), `{"role_id":"a","secret_id":"b"}`) },
		"a repair was cut short":  func(t *testing.T, v *local.Vault) { root(t, v); remove(t, v.Settled()) },
		"another version made it": func(t *testing.T, v *local.Vault) { write(t, v.Settled(), "0") },
		"the policy was changed": func(t *testing.T, v *local.Vault) {
			if err := v.Call(t.Context(), root(t, v), "PUT", "sys/policies/acl/laind", object{"policy": `path "x" { capabilities = ["read"] }`}, nil); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := room(t)
			v := start(t, o)
			put(t, v, "test/app/one", "eins")
			harm(t, v)
			v = start(t, o)
			if got := get(t, v, "test/app/one"); got != "eins" {
				t.Errorf("read %q", got)
			}
			if n := roots(t, v); n != 0 {
				t.Errorf("%d root tokens are left", n)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStart_saysWhatIsMissing(t *testing.T) {
	o := room(t)
	v := start(t, o)
	if err := v.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(v.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(o local.Options, sentence string) {
		t.Helper()
		if _, err := local.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%v; want a refusal with %q", err, sentence)
		}
		if err := local.Down(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	remove(t, v.KeyFile())
	refused(o, "unseal key "+v.KeyFile()+" is gone")
	write(t, v.KeyFile(), strings.Repeat("A", 43)+"=\n")
	refused(o, "does not take the unseal key")
	write(t, v.KeyFile(), string(key))
	noBinary := o
	noBinary.Binary = "/nonexistent/lain-vault"
	refused(noBinary, "there is no lain-vault at /nonexistent/lain-vault")
	long := o
	long.RunDir = "/run/" + strings.Repeat("x", 100)
	if _, err := local.Start(t.Context(), long); err == nil || !strings.Contains(err.Error(), "shorter run folder") {
		t.Errorf("a long path: %v", err)
	}
	if err := os.Rename(filepath.Join(v.Home(), "core"), filepath.Join(v.Home(), "gone")); err != nil {
		t.Fatal(err)
	}
	refused(o, "Vault's data in "+v.Home()+" is gone")
}
