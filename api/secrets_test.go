package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"lain.internal/lain/access"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/lain"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
	"lain.internal/lain/vaultbridge/vaulttest"
)

// newVaultRig is a rig with a real vault, in which hello's web declares two secret files.
func newVaultRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	own := vaulttest.Start(t)
	bridge, err := vaultbridge.Open(vaultbridge.Options{Address: own.Address(), Login: vaultbridge.Login{AppRoleFile: own.Credentials()},
		Cluster: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bridge.Close)
	r.api.Vault = bridge
	put(t, state.Of[lain.Release](r.api.Store, lain.ReleasesPrefix), lain.NumberKey("hello", 1), lain.Release{App: "hello", Number: 1, Status: lain.ReleaseServing,
		Procs: []lain.ProcSpec{{Name: "web", Type: lain.Web, Instances: 2, Port: 80, SecretFiles: []lain.SecretPath{"/lain/app/conf/key", "/etc/cert"}, Bypass: true}}})
	return r
}

// type is a verb with words on its standard input.
func (r *rig) typing(stdin, words string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = r.api.Run(r.t.Context(), gitserver.Session{Person: "alice", Fingerprint: "SHA256:x", Remote: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2)},
		Local: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 2222}, Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e}, strings.Fields(words))
	return code, o.String(), e.String()
}

func (r *rig) ok(stdin, words string) string {
	r.t.Helper()
	code, out, errs := r.typing(stdin, words)
	if code != 0 {
		r.t.Fatalf("%s: exit %d\n%s%s", words, code, out, errs)
	}
	return out
}

func TestSecretFiles(t *testing.T) {
	r := newVaultRig(t)
	if out := r.ok("x", "secret put hello not/declared"); !strings.Contains(out, "No proc of v1 uses it") || len(r.far.asked) != 0 {
		t.Errorf("undeclared: %s", out)
	}
	r.ok("one", "secret put hello conf/key")
	if len(r.far.asked) != 1 || r.far.asked[0].Why != lain.WhySecrets {
		t.Fatalf("asked for %+v", r.far.asked)
	}
	if out := r.ok("two", "secret put hello conf/key --stage"); !strings.Contains(out, "apply hello") || len(r.far.asked) != 1 {
		t.Errorf("staged: %s, asked for %+v", out, r.far.asked)
	}
	if out := r.ok("", "apply hello"); !strings.Contains(out, "secret /lain/app/conf/key of web") || len(r.far.asked) != 2 {
		t.Errorf("apply: %s", out)
	}
	if out := r.ok("", "secret get hello conf/key"); out != "two" {
		t.Errorf("get: %q", out)
	}
	if out := r.ok("", "secret get hello conf/key --version 1"); out != "one" {
		t.Errorf("get version 1: %q", out)
	}
	r.ok("web's own", "secret put hello conf/key -p web --mode 440 --owner 1000")
	if out := r.ok("", "secret list hello"); !strings.Contains(out, "every") || !strings.Contains(out, "web") || strings.Contains(out, "two") {
		t.Errorf("list: %s", out)
	}
	r.ok("", "secret rollback hello conf/key 1")
	if out := r.ok("", "secret get hello conf/key"); out != "one" {
		t.Errorf("after the rollback: %q", out)
	}
	r.ok("", "secret rm hello conf/key")
	if code, _, errs := r.typing("", "secret get hello conf/key"); code != 66 {
		t.Errorf("get of a removed one: exit %d: %s", code, errs)
	}
	if out := r.ok("", "secret history hello conf/key"); !strings.Contains(out, "removed") || !strings.Contains(out, "alice") {
		t.Errorf("history: %s", out)
	}
}

func TestWhatIsShownLeavesATrace(t *testing.T) {
	r := newVaultRig(t)
	r.ok("one", "secret put hello conf/key")
	r.ok("v", "config set hello KEY")
	r.ok("", "secret get hello conf/key")
	r.ok("", "config get hello KEY")
	items, _, err := state.Of[entry](r.api.Store, lain.AuditPrefix).List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, i := range items {
		verbs = append(verbs, i.Value.Verb+" "+i.Value.Outcome)
		if e := i.Value; e.Person != "alice" || e.App != "hello" || e.Key != "SHA256:x" || !strings.Contains(e.From, "10.0.0.2") || e.At.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	slices.Sort(verbs)
	if !slices.Equal(verbs, []string{"config get shown", "config set done", "secret get shown", "secret put done"}) {
		t.Errorf("noted: %q", verbs)
	}
}

func TestSecretOfAnUnknownApplicationMakesIt(t *testing.T) {
	r := newVaultRig(t)
	if out := r.ok("one", "secret put brand-new conf/key"); !strings.Contains(out, "brand-new is made") {
		t.Errorf("%s", out)
	}
	r.far.denied = access.CreateApp
	if code, _, _ := r.typing("one", "secret put other-new conf/key"); code != 77 {
		t.Errorf("exit %d for somebody who may not make applications", code)
	}
}

func TestSecretsThatAreRefused(t *testing.T) {
	r := newVaultRig(t)
	for words, want := range map[string]string{
		"secret put hello /":                  "names no file",
		"secret put hello /proc/1/mem":        "cannot be a secret file",
		"secret put hello a --mode 999":       "999",
		"secret put hello a --owner someone":  "someone",
		"secret put hello a -p WEB":           "not a proc name",
		"secret rollback hello a x":           "no version",
		"secret get hello a":                  "",
		"config set hello":                    "which KEY",
		"config set hello A=value":            "must not be an argument",
		"config set hello A=- A=-":            "lines for 2 values",
		"config set hello LAIN_X":             "LAIN_X",
		"config set hello 1A":                 "1A",
		"config set hello --from-file .env":   "send it",
		"config set hello --from-file - NAME": "send it",
		"config unset hello NOPE":             "NOPE",
		"config get hello NOPE":               "no config value NOPE",
		"config rollback hello 9":             "",
	} {
		code, out, errs := r.typing("x", words)
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, want %q\n%s%s", words, code, want, out, errs)
		}
	}
	if code, _, errs := r.typing(strings.Repeat("x", vaultbridge.MaxFile+1), "secret put hello a"); code != 64 {
		t.Errorf("a file that is too large: exit %d: %s", code, errs)
	}
	if len(r.far.asked) != 0 {
		t.Errorf("a refusal released %+v", r.far.asked)
	}
}

func TestConfigValues(t *testing.T) {
	r := newVaultRig(t)
	if out := r.ok("", "config list hello"); !strings.Contains(out, "no config values") {
		t.Errorf("%s", out)
	}
	r.ok("with trailing newline\n", "config set hello A")
	r.ok("1\n2\n", "config set hello B=- C=- --stage")
	r.ok("# comment\nD='x y'\nexport E=5\n", "config set hello --from-file -")
	if out := r.ok("", "config list hello"); out != "A\nB\nC\nD\nE\n" {
		t.Errorf("list: %q", out)
	}
	for key, want := range map[string]string{"A": "with trailing newline", "B": "1", "C": "2", "D": "x y", "E": "5"} {
		if out := r.ok("", "config get hello "+key); out != want+"\n" {
			t.Errorf("%s is %q", key, out)
		}
	}
	if len(r.far.config) == 0 {
		t.Error("the application is not marked")
	}
	r.ok("", "config unset hello A B")
	r.ok("", "config rollback hello 2")
	if out := r.ok("", "config list hello"); out != "A\nB\nC\n" {
		t.Errorf("after the rollback: %q", out)
	}
	out := r.ok("", "config history hello")
	for _, want := range []string{"+A\n", "+B +C\n", "+D +E\n", "-A -B\n", "+A +B -D -E\n"} {
		if !strings.Contains(out, want) || strings.Contains(out, "x y") {
			t.Errorf("no %q in the history: %s", want, out)
		}
	}
}

func TestSecretVerbsAnswerJSON(t *testing.T) {
	r := newVaultRig(t)
	for _, c := range [][2]string{
		{"v", "secret put hello conf/key --stage"}, {"", "secret list hello"}, {"", "secret get hello conf/key"}, {"", "secret history hello conf/key"},
		{"", "secret rollback hello conf/key 1 --stage"}, {"", "secret rm hello conf/key"}, {"v", "config set hello A"}, {"", "config list hello"},
		{"", "config get hello A"}, {"", "config history hello"}, {"", "config unset hello A"}, {"", "config rollback hello 1 --stage"}, {"", "apply hello"},
	} {
		if out := r.ok(c[0], c[1]+" --json"); !json.Valid([]byte(out)) {
			t.Errorf("%s --json: %s", c[1], out)
		}
	}
	if out := r.ok("\x00\xff", "secret put hello bin --stage"); !strings.Contains(out, "2 bytes") {
		t.Errorf("%s", out)
	}
	if out := r.ok("", "secret get hello bin --json"); !strings.Contains(out, base64.StdEncoding.EncodeToString([]byte{0, 0xff})) {
		t.Errorf("%s", out)
	}
}
