package engine

import (
	"strings"
	"testing"

	"lain.internal/lain/lain"
)

func TestServiceName(t *testing.T) {
	e := &Engine{cluster: "lab"}
	long := lain.AppName("a" + strings.Repeat("b", 38))
	cases := map[string]struct {
		app  lain.AppName
		proc lain.ProcName
		want string
	}{
		"short":           {"hello", "web", "lab_hello_web"},
		"just fits":       {long, lain.ProcName(strings.Repeat("p", 19)), "lab_" + string(long) + "_" + strings.Repeat("p", 19)},
		"is hashed":       {long, lain.ProcName(strings.Repeat("p", 20)), "lab_" + string(long) + "_p__"},
		"dashes are kept": {"a-b", "c-d", "lab_a-b_c-d"},
	}
	seen := map[string]bool{}
	for name, c := range cases {
		got := e.ServiceName(c.app, c.proc)
		if !strings.HasPrefix(got, c.want) || len(got) > 63 || seen[got] || strings.Contains(got, ".") {
			t.Errorf("%s: %q (%d bytes), want %q", name, got, len(got), c.want)
		}
		seen[got] = true
	}
	if a, b := e.ServiceName(long, "web-of-the-long-name-1"), e.ServiceName(long, "web-of-the-long-name-2"); a == b {
		t.Errorf("two procs are both called %s", a)
	}
}

func TestOursIsByClusterLabelOnly(t *testing.T) {
	e := &Engine{cluster: "lab"}
	if !e.ours(e.Labels("hello", "web")) || e.ours(nil) || e.ours(map[string]string{ClusterLabel: "other"}) {
		t.Error("what is ours is not told apart")
	}
}
