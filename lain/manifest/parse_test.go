package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/lain/fault"
)

const head = "appname: hello\nbuild: {base: golang}\n"

func TestParse_refusesBombsInASentence(t *testing.T) {
	laughs := head + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 10))
	}
	long := head + "a: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*a,", 100) + "]\n"
	procs := ""
	for i := range maxProcs + 1 {
		procs += fmt.Sprintf("worker.n%d:\n", i)
	}
	cases := map[string]struct{ data, want string }{
		"aliases":       {laughs, "with its aliases written out"},
		"long aliases":  {long, "with its aliases written out"},
		"nesting":       {strings.Repeat("[", 9000), "this is not YAML"},
		"closed":        {head + "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than"},
		"size":          {head + "# " + strings.Repeat("x", maxBytes), "at most 1048576 are read"},
		"many values":   {head + "a:\n" + strings.Repeat("- b\n", maxValues), "more than 20000 values"},
		"not UTF-8":     {head + "a: \xff\n", "is not UTF-8"},
		"control bytes": {head + "a: \x00\n", "this is not YAML"},
		"many procs":    {head + procs, "worker.n100 is one proc too many"},
		"loop":          {head + "a: &a {<<: *a}\n", "something that holds it"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			m, found := Parse("lain.yaml", []byte(c.data))
			if err := found.Err(); m != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestParse_boundsWhatItSays(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for i := range 5000 {
		fmt.Fprintf(&b, "nokey%d: %s\n", i, strings.Repeat("y", 20))
	}
	_, found := Parse("lain.yaml", []byte(b.String()))
	if len(found) != maxFindings+1 {
		t.Fatalf("%d findings, want %d", len(found), maxFindings+1)
	}
	if last := found[len(found)-1].Sentence; !strings.Contains(last, "4951 more") {
		t.Errorf("the last one says %q", last)
	}
}

func TestParse_longLinesAreCut(t *testing.T) {
	_, found := Parse("lain.yaml", []byte(head+"web: {user: \""+strings.Repeat("é ", 5000)+"\"}\n"))
	f := fault.Of(found.Err())
	if len([]rune(f.Excerpt)) > maxExcerpt+1 || len(f.Sentence) > 300 {
		t.Errorf("excerpt %d, sentence %d characters", len(f.Excerpt), len(f.Sentence))
	}
}

func TestFindings_errIsTheFirstError(t *testing.T) {
	_, found := Parse("lain.yaml", []byte(head+"nokey: 1\nweb: {port: x}\nworker: {cpu: x}\n"))
	var f *fault.Fault
	if !errors.As(found.Err(), &f) {
		t.Fatalf("%v is not a fault", found.Err())
	}
	if f.Kind != fault.Invalid || f.File != "lain.yaml" || f.Line != 4 || f.Column != 13 || f.Excerpt != "web: {port: x}" || f.Hint == "" {
		t.Errorf("got %+v", f)
	}
	if n := len(found.Only(Error)); n != 2 {
		t.Errorf("%d errors, want 2", n)
	}
	if n := len(found); n != 3 {
		t.Errorf("Only changed its receiver: %d left", n)
	}
	if (Findings{{Severity: Warning}}).Err() != nil {
		t.Error("a warning is no error")
	}
}

func TestManifest_atShowsTheLine(t *testing.T) {
	m, found := Parse("sub/lain.yaml", []byte(head+"web: {image: nginx}\n"))
	if m == nil {
		t.Fatal(found.Err())
	}
	err := m.At(m.Procs[0].ImageLine, fault.New(fault.NotFound, "there is no image nginx"))
	want := []string{"sub/lain.yaml:3: there is no image nginx", ">>> 3 | web: {image: nginx}"}
	if got := fault.Lines(err); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := new(Manifest).At(3, fault.New(fault.NotFound, "no")); err.Error() != "no" {
		t.Errorf("without a file: %v", err)
	}
}

// FuzzParse looks for a panic, and for text that would do harm further on.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{head, head + "web:\n", head + "web: {env: [\"A=\\0\"], mountpoint: [a/b, /c]}\n",
		head + "worker: &a {cmd: x, <<: {port: 1}}\nworker.b: *a\n", "a: &a [*a]", "? [a]\n: b", "\xef\xbb\xbfappname: x", "- !!binary x",
		head + "cron: {schedule: \"*/5 1-2,3 * jan mon\"}\nservice.a: {portal: {allow_clients: [b]}}\nuse_services: {a: b}\nnotify: {a: [1.5, .inf, 2016-09-13]}\n",
		head + "web: {ports: {\"9500:1/udp\": {proto: tcp}}, labels: [a:b:c], filters: [\"affinity:a!=~b\"], logs: [a], cloud_volumes: {dirs: [a]}, shared_volumes: {g: [\"a:/b\"]}}\n",
		head + "web: {volumes: [{/a/: {backup_full: {schedule: \"@daily\", expire: 3d, pre_run: x}}}, /b: ], dns_search: [a.b], stateful: 1, health: {path: x, interval: 2 minutes}}\n",
		"appname: a\napptype: resource\nbuild: {base: b, secrets: [c, {name: d, target: /e}], volumes: [/f], target: g}\nworker: {cmd: \"{{ x }}\", memory: \"{{\"}\n",
		head + "web: {secret_files: [../x, /a//b/, 1], container_healthcheck: {cmd: \"a\\0\", options: {retries: 9}}}\n",
		head + "oneshot: {ports: 9500:1/udp}\nservice.x: {portal: {}}\nuse_resources: {a: {services: [b]}}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, found := Parse("lain.yaml", data)
		if (m == nil) != (found.Err() != nil) {
			t.Fatalf("manifest is nil: %v, error: %v", m == nil, found.Err())
		}
		for _, f := range found {
			checkFinding(t, f)
		}
		if m == nil {
			return
		}
		for _, p := range slices.Concat(m.Procs, m.Others) {
			checkProc(t, p)
		}
		if shown := Show(m, "example.test"); !json.Valid(shown) || !bytes.Equal(shown, Show(m, "example.test")) {
			t.Errorf("shown as %s", shown)
		}
		routes, _ := m.Routes([]string{"example.test"})
		for _, r := range routes {
			if checkHost(r.Host) != "" || checkPath(r.Path) != "" {
				t.Errorf("route %+v", r)
			}
		}
	})
}

func checkFinding(t *testing.T, f Finding) {
	t.Helper()
	for _, s := range []string{f.Sentence, f.Excerpt, f.Hint} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("control characters in %q", s)
		}
	}
	if f.Sentence == "" || len(f.Sentence) > 600 || len(f.Hint) > 600 {
		t.Errorf("%d and %d bytes of text", len(f.Sentence), len(f.Hint))
	}
}

func checkProc(t *testing.T, p Proc) {
	t.Helper()
	for _, s := range slices.Concat(p.Cmd, p.Entrypoint, p.Env, []string{p.User, p.Workdir, p.Image, p.HealthPath, string(p.Name)}) {
		if strings.ContainsAny(s, "\x00\n\r\x1b") {
			t.Errorf("control characters in %q", s)
		}
	}
	for _, f := range p.SecretFiles {
		if f.Path.Validate() != nil {
			t.Errorf("secret file %q", f.Path)
		}
	}
	for _, v := range p.Volumes {
		if !path.IsAbs(v.Path) || path.Clean(v.Path) != v.Path || strings.ContainsAny(v.Path+v.Written, "\x00\n\r\x1b") {
			t.Errorf("volume %q", v.Path)
		}
	}
	for _, port := range p.StreamPorts {
		if port.Src < minStream || port.Src > maxStream || port.Dst < 1 || port.Dst > 65535 || port.Protocol != "tcp" && port.Protocol != "udp" {
			t.Errorf("port %+v", port)
		}
	}
	for _, s := range slices.Concat(p.Logs, p.Filters, p.DNSSearch, []string{p.Schedule, p.ServiceName}) {
		if strings.ContainsAny(s, "\x00\n\r\x1b") {
			t.Errorf("control characters in %q", s)
		}
	}
	if h := p.ContainerHealth; h != nil && (strings.ContainsAny(h.Cmd, "\x00\n\r\x1b") || h.Interval < time.Second || h.Timeout < 3*time.Second || h.Retries < 3) {
		t.Errorf("container health %+v", h)
	}
	if p.Name == "" || p.Instances < 0 || p.Port < 0 || p.Port > 65535 || p.MemoryBytes < 0 || p.KillTimeout < 10*time.Second {
		t.Errorf("proc %+v", p)
	}
}

// A file with all keys, and as long as the longest real ones.
func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile("testdata/every-key-served.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if m, found := Parse("lain.yaml", data); m == nil {
			b.Fatal(found.Err())
		}
	}
}
