package lain

import (
	"strings"
	"testing"
)

func TestParseSecretPath(t *testing.T) {
	for s, want := range map[string]SecretPath{
		"secret.conf":                          "/lain/app/secret.conf",
		"conf/../secret.conf":                  "/lain/app/secret.conf",
		"../hh":                                "/lain/hh",
		"../../../x":                           "/x",
		"../../../../../etc/x":                 "/etc/x",
		"/etc//my app/./key":                   "/etc/my app/key",
		"/größe":                               "/größe",
		"/devices":                             "/devices",
		"/" + strings.Repeat("x", 499):         SecretPath("/" + strings.Repeat("x", 499)),
		"{{.Task.Slot}}":                       "/lain/app/{{.Task.Slot}}",
		"-rf":                                  "/lain/app/-rf",
		"/lain/configuration":                  "/lain/configuration",
		"/lain/app/../app/a/../../app/%2e%2e/": "",
	} {
		if got, err := ParseSecretPath(s); got != want && err == nil {
			t.Errorf("%q: %q (%v), want %q", s, got, err, want)
		} else if (err != nil) != (want == "") {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", ".", "..", "/", "a/", "/lain", "../config", "/lain/config/x", "/lain/helper", "/proc/1/mem",
		"/sys/x", "/dev/null", "a\x00b", "a\u200bb", "a\u202eb", "a\u00a0b", "a\nb", "a\x7fb", "a\xffb", "/" + strings.Repeat("x", 500), "../../dev/sda"} {
		if got, err := ParseSecretPath(s); err == nil {
			t.Errorf("%q is taken as %q", s, got)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: the sentence holds control bytes: %q", s, err)
		}
	}
}

func FuzzParseSecretPath(f *testing.F) {
	for _, s := range []string{"a", "../x", "/etc/x", "a/", "\x00", "....//", "/lain/config", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseSecretPath(s)
		if err != nil {
			return
		}
		if again, err := ParseSecretPath(string(p)); err != nil || again != p {
			t.Errorf("%q became %q, which becomes %q (%v)", s, p, again, err)
		}
	})
}

func TestScopes(t *testing.T) {
	if ScopeOf("") != EveryProc || EveryProc.Proc() != "" || ScopeOf("web").Proc() != "web" {
		t.Error("a scope does not come back as its proc")
	}
	if _, err := ParseProcName(string(EveryProc)); err == nil {
		t.Error("a proc can have the name of the scope of all procs")
	}
}
