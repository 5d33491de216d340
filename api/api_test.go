package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/access"
	"lain.internal/lain/engine"
	"lain.internal/lain/gitserver"
	"lain.internal/lain/gitserver/repo"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/runtime/disk"
	"lain.internal/lain/state"
	"lain.internal/lain/state/statetest"
)

// far plays the rooms behind the verbs.
type far struct {
	destroyed []lain.AppName
	asked     []lain.Change
	banned    map[int]string
	root      int            // that a ban is held by; 0: the release that was named
	config    []lain.AppName // that may have config values
	denied    access.Action
	query     engine.LogQuery
	store     *state.Store
	repos     *repo.Store // made by the tests that need one
	memory    map[string]engine.Memory
	images    []engine.Image
	entered   []engine.Entry
	exit      int             // of what was entered
	like      []lain.ProcWant // that one-off containers were made like
	of        []string        // the images that they were made of; "": that of the proc
	build     func(context.Context, report.Reporter) error
	ended     int    // of those, how many are gone
	away      error  // what the engine answers instead
	inside    func() // called by who entered; nil: nothing
	create    func() // called while an application is made; nil: nothing
}

func (f *far) Get(context.Context, lain.AppName, int) (lain.Run, error) { return lain.Run{}, nil }
func (f *far) Wait(_ context.Context, app lain.AppName, n int) (lain.Run, error) {
	if n == 2 {
		return lain.Run{App: app, Number: n, State: lain.RunFailed, Reason: "build failed"}, nil
	}
	return lain.Run{App: app, Number: n, State: lain.RunDone}, nil
}
func (f *far) Follow(_ context.Context, _ lain.AppName, _ int, fn func([]report.Event) error) error {
	return fn([]report.Event{{Kind: report.Stage, Text: "Building"}})
}
func (f *far) Submit(_ context.Context, r lain.RunRequest) (lain.Run, error) {
	f.asked = append(f.asked, *r.Change)
	return lain.Run{App: r.App, Number: 1}, nil
}
func (f *far) Preview(_ context.Context, app lain.AppName, c lain.Change) (next, serving lain.Release, err error) {
	if c.From == 9 {
		return next, serving, fault.New(fault.NotFound, "%s has no release v9", app)
	}
	serving = lain.Release{App: app, Number: 2, Commit: "2222222", Procs: []lain.ProcSpec{{Name: "web", Type: lain.Web, Instances: 2, MemoryBytes: 64 << 20}}}
	next = serving
	next.Commit = "1111111"
	return next, serving, nil
}
func (f *far) Ban(_ context.Context, _ lain.AppName, n int, b *lain.Ban) (int, error) {
	if f.banned == nil {
		f.banned = map[int]string{}
	}
	delete(f.banned, n)
	if b != nil {
		f.banned[n] = b.Reason
	}
	return cmp.Or(f.root, n), nil
}
func (f *far) Open(ctx context.Context, app lain.AppName) (*repo.Repository, error) {
	return f.repos.Open(ctx, app)
}
func (f *far) Cancel(context.Context, lain.AppName, int, string) error { return nil }
func (f *far) Create(ctx context.Context, app lain.AppName, format string, by lain.Person) error {
	if f.create != nil {
		f.create()
	}
	_, err := state.Of[lain.App](f.store, lain.AppsPrefix).Create(ctx, string(app), lain.App{Name: app, ObjectFormat: format, By: by})
	return err
}
func (f *far) Destroy(_ context.Context, app lain.AppName, tell func(string)) error {
	tell("Stopping")
	f.destroyed = append(f.destroyed, app)
	return nil
}
func (f *far) MayHaveConfig(_ context.Context, app lain.AppName) error {
	f.config = append(f.config, app)
	return nil
}
func (f *far) Logs(_ context.Context, q engine.LogQuery, fn func(engine.LogLine) error) error {
	f.query = q
	return fn(engine.LogLine{Proc: "web", Instance: 1, Text: "hi\x1b[2J"})
}
func (f *far) TaskMemory(context.Context, lain.AppName) (map[string]engine.Memory, error) {
	return f.memory, f.away
}
func (f *far) Nodes(context.Context) ([]engine.Node, error) {
	return []engine.Node{{Name: "n1", CPUs: 2_000_000_000, Memory: 4 << 30, Ready: true}, {Name: "n2", CPUs: 8_000_000_000, Memory: 64 << 30}}, f.away
}
func (f *far) Enter(_ context.Context, e engine.Entry) (int, error) {
	f.entered = append(f.entered, e)
	if f.inside != nil {
		f.inside()
	}
	return f.exit, f.away
}
func (f *far) OneOff(ctx context.Context, like lain.ProcWant, image func(context.Context) (string, error)) (string, func(), error) {
	id, err := image(ctx)
	if err != nil {
		return "", nil, err
	}
	f.like, f.of = append(f.like, like), append(f.of, id)
	return "one-off", func() { f.ended++ }, nil
}
func (f *far) BuildImage(ctx context.Context, r lain.Release, out report.Reporter) (string, error) {
	if f.build != nil {
		if err := f.build(ctx, out); err != nil {
			return "", err
		}
	}
	return "sha256:of-" + r.Version(), nil
}
func (f *far) ForeignImages(context.Context) ([]engine.Image, error) { return f.images, f.away }
func (f *far) Can(_ context.Context, _ lain.Person, a access.Action, _ lain.AppName) error {
	if a == f.denied {
		return fault.New(fault.Denied, "no")
	}
	return nil
}
func (f *far) AddKey(context.Context, lain.Person, string) (string, error) { return "SHA256:x", nil }
func (f *far) List(context.Context) ([]access.Key, error) {
	return []access.Key{{Person: "alice", Fingerprint: "SHA256:x", Line: "ssh-ed25519 AAAA"}}, nil
}
func (f *far) Remove(context.Context, string) error { return nil }

type rig struct {
	t   *testing.T
	api *API
	far *far
}

func newRig(t *testing.T) *rig {
	store := statetest.Open(t)
	f := &far{store: store}
	put(t, state.Of[lain.App](store, lain.AppsPrefix), "hello", lain.App{Name: "hello", DeployBranch: "main", Serving: 1, LastRelease: 1, LastRun: 2, By: "alice"})
	put(t, state.Of[lain.Release](store, lain.ReleasesPrefix), lain.NumberKey("hello", 1), lain.Release{App: "hello", Number: 1, Status: lain.ReleaseServing,
		Procs: []lain.ProcSpec{{Name: "web", Type: lain.Web, Instances: 2, Port: 80}}, Routes: []lain.Route{{Host: "hello.test", Path: "/", Proc: "web"}}})
	put(t, state.Of[lain.Run](store, lain.RunsPrefix), lain.NumberKey("hello", 1), lain.Run{App: "hello", Number: 1, State: lain.RunDone, Release: 1})
	put(t, state.Of[lain.Run](store, lain.RunsPrefix), lain.NumberKey("hello", 2), lain.Run{App: "hello", Number: 2, State: lain.RunFailed, Reason: "build failed"})
	put(t, state.Of[lain.ProcSeen](store, lain.SeenPrefix), "hello/web", lain.ProcSeen{App: "hello", Proc: "web", Release: 1, State: lain.SeenServing,
		Instances: []lain.InstanceSeen{{Number: 1, State: "running", Release: 1}}})
	return &rig{t: t, far: f, api: New(API{Store: store, Runs: f, Changes: f, Repos: f, Apps: f, Logs: f, Machine: f, OneOffs: f, Builds: f, Rights: f, Keys: f, URL: func(r lain.Route) string { return r.URL("http", 80) },
		Certificate: func(h string) (time.Time, bool) { return time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC), h == "safe.test" }, RegistryHost: "127.0.0.1:5000",
		Disks: func() []disk.Usage {
			return []disk.Usage{{Name: "the server's disk", Path: "/srv", Free: 10 << 30, Total: 100 << 30, Reserve: 2 << 30}}
		},
		HostKeys: func() []string { return []string{"SHA256:k"} }, SSHPort: 2222, Cluster: "test", Version: "1", Logger: slog.New(slog.DiscardHandler),
		Now: time.Now, Draining: t.Context()})}
}

func put[T any](t *testing.T, k state.Kind[T], key string, v T) {
	t.Helper()
	if _, err := k.Put(t.Context(), key, v); err != nil {
		t.Fatal(err)
	}
}

// atTerminal is doUntil for a person at a terminal, who types and reads.
func (r *rig) atTerminal(ctx context.Context, types io.Reader, reads io.Writer, args ...string) (code int) {
	return r.api.Run(ctx, gitserver.Session{Person: "alice", Stdin: types, Stdout: reads, Raw: reads, Stderr: reads, Terminal: &lain.Terminal{}}, args)
}

func (r *rig) do(args ...string) (code int, out, errs string) {
	return r.doUntil(r.t.Context(), args...)
}

// doUntil is do for a person who stays as long as ctx.
func (r *rig) doUntil(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = r.api.Run(ctx, gitserver.Session{Person: "alice", Fingerprint: "SHA256:x", Local: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 2222},
		Stdin: strings.NewReader("ssh-ed25519 AAAA"), Stdout: &o, Raw: &o, Stderr: &e}, args)
	return code, o.String(), e.String()
}

// A oneshot is shown as it runs, and how it ended afterwards, never both.
func TestPsShowsOneshots(t *testing.T) {
	r := newRig(t)
	end := lain.ProcSeen{App: "hello", Proc: "migrate", Release: 1, Attempt: 2, State: lain.SeenFailed, Reason: "migrate ended with exit code 3", At: time.Now()}
	put(t, state.Of[lain.ProcSeen](r.api.Store, lain.OneshotsPrefix), "hello/migrate", end)
	for _, c := range []struct {
		attempt int
		has     string
		hasNot  string
	}{{0, "migrate ended with exit code 3", "migrate.1"}, {2, "migrate ended with exit code 3", "migrate.1"}, {4, "migrate.1", "exit code 3"}} {
		if c.attempt > 0 {
			put(t, state.Of[lain.ProcSeen](r.api.Store, lain.SeenPrefix), "hello/migrate.oneshot", lain.ProcSeen{App: "hello", Proc: "migrate", Attempt: c.attempt,
				State: lain.SeenRolling, Begun: time.Now(), Instances: []lain.InstanceSeen{{Number: 1, State: "running"}}})
		}
		code, out, errs := r.do("ps", "hello")
		if code != 0 || !strings.Contains(out, c.has) || strings.Contains(out, c.hasNot) || !strings.Contains(out, "web.1") {
			t.Errorf("attempt %d: %d %s\n%s", c.attempt, code, errs, out)
		}
	}
}

func TestVerbs(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		words string
		code  int
		out   string // in stdout, or in stderr where the code is not 0
	}{
		{"", 0, "Verbs:"},
		{"help", 0, "destroy APP"},
		{"help logs", 0, "--follow"},
		{"help nothing", 64, "there is no verb"},
		{"logs --help", 0, "Example:"},
		{"setup", 0, "HostName 10.0.0.1"},
		{"whoami", 0, "alice"},
		{"apps", 0, "hello  v1"},
		{"apps create new", 0, "new is made"},
		{"apps create New", 64, "not an application name"},
		{"apps create new --object-format md5", 64, "neither sha1 nor sha256"},
		{"info hello", 0, "http://hello.test/"},
		{"info other", 66, "there is no application other here"},
		{"info", 64, "info takes APP"},
		{"info hello more", 64, "info takes APP"},
		{"ps hello", 0, "web.1"},
		{"releases hello", 0, "v1"},
		{"runs hello", 0, "r-2"},
		{"runs hello -n 1", 0, "r-2"},
		{"runs attach hello r-1", 0, "-----> Building"},
		{"runs attach hello", 1, "r-2 failed: build failed"},
		{"runs attach hello r-x", 64, "is not a run"},
		{"runs cancel hello 1", 0, "r-1 is done"},
		{"logs hello -p web", 0, "web.1: hi"},
		{"logs hello -p WEB", 64, "not a proc name"},
		{"logs hello -i WEB.1", 64, "not a proc name"},
		{"logs hello -i web", 64, "See: ps hello"},
		{"logs hello -i web.0", 64, "See: ps hello"},
		{"logs hello -p web -i worker.1", 64, "See: ps hello"},
		{"logs hello --nothing", 64, "unknown flag"},
		{"keys list", 0, "SHA256:x"},
		{"keys add bob", 0, "bob gets in"},
		{"keys add Bob!", 64, "not a person's name"},
		{"keys rm SHA256:x", 0, "gone"},
		{"destroy hello", 64, "--confirm hello"},
		{"destroy hello --confirm other", 64, "--confirm hello"},
		{"destroy hello --confirm hello", 0, "hello is gone"},
		{"rollback hello v1", 0, "-----> Building"},
		{"rollback hello v9", 66, "no release v9"},
		{"rollback hello x", 64, "is not a release"},
		{"rollback hello", 66, "no other commit of hello has served"},
		{"rollback hello v1 --dry-run", 0, "commit: 2222222 -> 1111111"},
		{"redeploy hello -d", 0, "runs attach hello r-1"},
		{"restart hello web", 0, "-----> Building"},
		{"restart hello WEB", 64, "not a proc name"},
		{"scale hello", 0, "64MiB"},
		{"scale hello web=3 worker=2", 0, "-----> Building"},
		{"scale hello web=-1", 64, "how many instances"},
		{"scale hello web=lots", 64, "how many instances"},
		{"scale hello web", 64, "say how many"},
		{"scale hello web=1 web=2", 64, "named twice"},
		{"scale hello web --memory much", 64, "no amount of memory"},
		{"scale hello web=yaml --cpu 1", 64, "goes back to lain.yaml whole"},
		{"ban hello v1", 64, "say why"},
		{"ban hello v1 -m leaks", 0, "v1 of hello is banned"},
		{"unban hello v1", 0, "may be released again"},
		{"diff hello v8 v9", 66, "no release v8"},
		{"logs hello --since never", 64, "is no time"},
		{"activity", 0, "ban"},
		{"activity hello", 0, "v9: hello has no release v9"},
		{"activity other", 66, "no application other"},
		{"open hello", 0, "http://hello.test/\n"},
		{"open other", 66, "no application other"},
		{"domains other", 66, "no application other"},
		{"bases", 0, "None."},
		{"capacity --memory much", 64, "no amount of memory"},
		{"capacity --memory=", 64, "say how large"},
		{"events hello", 0, "v1 serves"},
		{"events other", 66, "no application other"},
		{"rnus hello", 64, "Did you mean: runs"},
		{"; rm -rf /", 64, "there is no verb"},
	} {
		code, out, errs := r.do(strings.Fields(c.words)...)
		text := out
		if c.code != 0 {
			text = errs
		}
		if code != c.code || !strings.Contains(text, c.out) {
			t.Errorf("%q: exit %d, want %d with %q\n%s%s", c.words, code, c.code, c.out, out, errs)
		}
	}
	if len(r.far.destroyed) != 1 {
		t.Errorf("destroyed %v", r.far.destroyed)
	}
}

func TestEveryVerbAnswersJSON(t *testing.T) {
	r := newRig(t)
	for _, v := range r.api.verbs {
		word := strings.Fields(v.name)[0]
		if slices.Contains([]string{"why", "diff", "secret", "config", "apply", "run", "enter", "cp"}, word) { // tests of their own
			continue
		}
		args := strings.Fields(v.name)
		switch v.args {
		case "APP VERSION", "APP [VERSION]":
			args = append(args, "hello", "v1")
		case "APP", "[APP]", "APP [RUN]", "APP [PROC...]", "APP [PROC[=N|=yaml]...]":
			args = append(args, "hello")
		case "FINGERPRINT":
			args = append(args, "SHA256:x")
		}
		if v.name == "apps create" {
			args[len(args)-1] = "made-by-json"
		}
		if v.name == "runs attach" {
			args = append(args, "r-1")
		}
		switch v.name {
		case "destroy":
			args = append(args, "--confirm", "hello")
		case "ban":
			args = append(args, "-m", "leaks")
		}
		code, out, errs := r.do(append(args, "--json")...)
		if code != 0 || !json.Valid([]byte(out)) {
			t.Errorf("%v --json: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestEveryVerbHasHelp(t *testing.T) {
	r := newRig(t)
	for _, v := range r.api.verbs {
		_, out, _ := r.do(append(strings.Fields(v.name), "--help")...)
		if v.summary == "" || v.example == "" || v.action == "" || !strings.Contains(out, "ssh lain "+v.example) {
			t.Errorf("%s:\n%s", v.name, out)
		}
	}
}

func TestWhatIsNotAllowedIsNotDone(t *testing.T) {
	r := newRig(t)
	r.far.denied = access.DeleteApp
	if code, _, _ := r.do("destroy", "hello", "--confirm", "hello"); code != 77 || len(r.far.destroyed) != 0 {
		t.Errorf("exit %d, destroyed %v", code, r.far.destroyed)
	}
}

func TestForeignTextCannotSteerTheTerminal(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{{"logs", "hello"}, {"\x1b[2Jx"}, {"info", "\x1b]0;x\x07"}, {"runs", "attach", "hello", "r-\x1b[2J"}} {
		_, out, errs := r.do(args...)
		if strings.Contains(out+errs, "\x1b") {
			t.Errorf("%q: %q", args, out+errs)
		}
	}
}

func TestLogsAsksForWhatWasSaid(t *testing.T) {
	r := newRig(t)
	r.do("logs", "hello", "-f", "-p", "web", "-n", "7", "--since", "10m")
	q := r.far.query
	if !q.Follow || q.Proc != "web" || q.Tail != 7 || time.Since(q.Since).Round(time.Minute) != 10*time.Minute {
		t.Errorf("%+v", q)
	}
}

func TestLogsOfAnInstance(t *testing.T) {
	r := newRig(t)
	r.do("logs", "hello", "-i", "web.2")
	if q := r.far.query; q.Proc != "web" || q.Instance != 2 {
		t.Errorf("%+v", q)
	}
	_, out, _ := r.do("logs", "hello", "--json")
	if want := `"proc":"web","instance":1,"stream":"stdout","message":"hi\u001b[2J"}` + "\n"; !strings.HasSuffix(out, want) || !strings.HasPrefix(out, `{"time":"`) {
		t.Errorf("%s", out)
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"runs", "rnus", true}, {"runs", "run", true}, {"logs", "lgs", true}, {"logs", "loggs", true}, {"ps", "psx", true}, {"info", "apps", false}, {"a", "", false}, {"logs", "lxyz", false}, {"apps", "apps", true}} {
		if near(c.a, c.b) != c.want {
			t.Errorf("near(%q, %q) = %v", c.a, c.b, !c.want)
		}
	}
}
