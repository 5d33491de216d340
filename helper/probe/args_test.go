package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func asked(change func(*question)) question {
	q := question{timeout: DefaultTimeout, interval: DefaultInterval, state: DefaultState}
	change(&q)
	return q
}

func TestParse(t *testing.T) {
	for line, want := range map[string]question{
		"--http http://localhost:8080/health": asked(func(q *question) { q.http = &target{"localhost:8080", "/health"} }),
		"--http=http://[::1]:80?x=1":          asked(func(q *question) { q.http = &target{"[::1]:80", "/?x=1"} }),
		"--http http://self":                  asked(func(q *question) { q.http = &target{"self:80", "/"} }),
		"--tcp 127.0.0.1:5432 --interval=0s":  asked(func(q *question) { q.tcp, q.interval = "127.0.0.1:5432", 0 }),
		"--timeout 1s --exec --interval 1m -- x --timeout": asked(func(q *question) {
			q.timeout, q.interval, q.argv = time.Second, time.Minute, []string{"x", "--timeout"}
		}),
		"--alive --settle 2s": asked(func(q *question) { q.alive, q.settle = true, 2*time.Second }),
		"--tcp=h:1 --state=":  asked(func(q *question) { q.tcp, q.state = "h:1", "" }),
	} {
		got, err := parse(strings.Fields(line))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(question{}, target{})); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", line, err, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{
		"", "--", "--http", "--tcp h:1 --exec -- x", "--tcp h:1 --tcp h:2", "--exec", "--exec --", "--exec=1 -- x", "--tcp h:1 -- x",
		"--tcp h", "--tcp h:0", "--tcp h:70000", "--tcp :1", "--tcp h:1 --timeout 0s", "--tcp h:1 --timeout -1s", "--tcp h:1 --interval -1s",
		"--tcp h:1 --interval soon", "--tcp h:1 --retries 3", "x", "--http https://h/", "--http h:80/", "--http http://", "--http http://u@h/",
		"--http http://h:x/", "--http http://h/#f",
		"--alive --tcp h:1", "--alive=1", "--alive -- x", "--tcp h:1 --settle -1s", "--tcp h:1 --settle soon", "--tcp h:1 --settle",
	} {
		if q, err := parse(strings.Fields(line)); err == nil {
			t.Errorf("%q was taken: %+v", line, q)
		}
	}
	for _, url := range []string{"http://h/a b", "http://h/\r\nX: y", "http://h/\x00"} {
		if _, err := parse([]string{"--http", url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

func TestEngineTimeoutExceedsTheLongestProbe(t *testing.T) {
	for _, settle := range []time.Duration{0, time.Second, time.Minute} {
		longest := max(DefaultInterval+DefaultTimeout, settle+2*DefaultTimeout)
		if EngineTimeout(DefaultInterval, DefaultTimeout, settle) <= longest {
			t.Errorf("with %s to settle, the engine would call a sleeping probe a failure", settle)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"--http\x00http://h:1/x", "--tcp\x00h:1", "--exec\x00--\x00x", "--timeout=1s\x00--tcp=h:1", "--alive\x00--settle=1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := parse(strings.Split(line, "\x00"))
		if err != nil {
			return
		}
		kinds := 0
		for _, is := range []bool{q.http != nil, q.tcp != "", len(q.argv) > 0, q.alive} {
			if is {
				kinds++
			}
		}
		if kinds != 1 || q.timeout <= 0 || q.interval < 0 || q.settle < 0 {
			t.Errorf("%q gives %+v", line, q)
		}
		if q.http != nil && strings.ContainsAny(q.http.path, " \r\n") {
			t.Errorf("%q would break the request line: %q", line, q.http.path)
		}
	})
}
