package api

import (
	"encoding/json"
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

func TestDomains(t *testing.T) {
	r := newRig(t)
	put(t, r.api.releases, lain.NumberKey("hello", 1), lain.Release{App: "hello", Number: 1, Status: lain.ReleaseServing, Routes: []lain.Route{
		{Host: "hello.test", Path: "/", Proc: "web"}, {Host: "safe.test", Path: "/api/", Proc: "api", HTTPSOnly: true}, {Host: "safe.test", Path: "/", Proc: "web"},
	}})
	want := `HOST        PATH   PROC  HTTPS  CERTIFICATE
hello.test  /      web   no     none
safe.test   /api/  api   only   until 2030-01-02
safe.test   /      web   yes    until 2030-01-02
`
	if _, out, _ := r.do("domains", "hello"); out != want {
		t.Errorf("\n%s, want\n%s", out, want)
	}
	_, out, _ := r.do("domains", "hello", "--json")
	var all []map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 3 {
		t.Fatalf("%v in %s", err, out)
	}
	if first := all[0]; first["https"] != false || first["certificate_until"] != nil || first["url"] != "http://hello.test/" {
		t.Errorf("%v", first)
	}
	if second := all[1]; second["https"] != true || second["https_only"] != true || second["certificate_until"] != "2030-01-02T00:00:00Z" {
		t.Errorf("%v", second)
	}
}

func TestAnApplicationThatAnswersNowhere(t *testing.T) {
	r := newRig(t)
	put(t, r.api.apps, "empty", lain.App{Name: "empty"})
	if code, _, errs := r.do("open", "empty"); code != 66 || !strings.Contains(errs, "See: info empty") {
		t.Errorf("open: exit %d %s", code, errs)
	}
	if code, out, _ := r.do("domains", "empty"); code != 0 || !strings.Contains(out, "See: info empty") {
		t.Errorf("domains: exit %d %s", code, out)
	}
	if _, out, _ := r.do("domains", "empty", "--json"); out != "[]\n" {
		t.Errorf("domains --json: %s", out)
	}
}
