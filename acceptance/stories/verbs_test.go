//go:build acceptance

package stories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

func TestHelp_HasAnExampleOfEveryVerb(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	verbs := town.JSON[[]struct{ Name, Args, Summary, Example string }](t, tw, "help")
	overview := tw.Verb(t, "help")
	var names []string
	for _, v := range verbs {
		names = append(names, v.Name)
		if !strings.Contains(overview, v.Name) || !strings.Contains(overview, v.Summary) {
			t.Errorf("help does not list %s", v.Name)
		}
		text := tw.Verb(t, "help "+v.Name)
		if !strings.Contains(text, "Example:\n  ssh lain "+v.Example) || !strings.HasPrefix(v.Example, v.Name) {
			t.Errorf("help %s has no example of it:\n%s", v.Name, text)
		}
		if !strings.Contains(text, "--json") {
			t.Errorf("help %s does not name --json", v.Name)
		}
		if again := tw.Verb(t, v.Name+" --help"); again != text {
			t.Errorf("%s --help says otherwise than help %s", v.Name, v.Name)
		}
	}
	for _, want := range []string{"help", "setup", "apps", "apps create", "info", "ps", "releases", "runs", "runs attach", "runs cancel",
		"logs", "keys add", "keys list", "keys rm", "destroy"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no verb %q", want)
		}
	}
}

// Every verb that answers does so in JSON as well, with what a program needs to go on.
func TestJSON_OfEveryVerb(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, commit := serving(t, "json")
	empty := tw.NewApp(t, "jsonempty").Name
	for _, c := range []struct {
		verb   string
		fields []string // of the answer, or of the first one in a list
	}{
		{"apps create " + empty, []string{"name", "object_format"}},
		{"apps", []string{"name", "created", "by", "last_run"}},
		{"info " + app.Name, []string{"name", "serving", "deploy_branch", "urls", "release"}},
		{"ps " + app.Name, []string{"proc", "release", "state", "instances"}},
		{"releases " + app.Name, []string{"number", "commit", "image", "run", "by", "status", "created"}},
		{"runs " + app.Name, []string{"number", "commit", "by", "state", "stages", "created", "ended"}},
		{"whoami", []string{"person", "fingerprint"}},
		{"setup", []string{"host", "port", "host_keys"}},
		{"keys list", []string{"person", "fingerprint", "added"}},
		{"help", []string{"name", "args", "summary", "example"}},
		{"help logs", []string{"name", "args", "summary", "example"}},
	} {
		answer := []byte(tw.Verb(t, c.verb+" --json"))
		var one map[string]any
		if bytes.HasPrefix(answer, []byte("[")) {
			var many []map[string]any
			if err := json.Unmarshal(answer, &many); err != nil || len(many) == 0 {
				t.Errorf("%s --json: %d elements, %v", c.verb, len(many), err)
				continue
			}
			one = many[0]
			for _, m := range many { // among all applications, one that serves
				if m["name"] == app.Name {
					one = m
				}
			}
		} else if err := json.Unmarshal(answer, &one); err != nil {
			t.Errorf("%s --json: %v in\n%s", c.verb, err, answer)
			continue
		}
		for _, f := range c.fields {
			if _, ok := one[f]; !ok {
				t.Errorf("%s --json has no %q:\n%s", c.verb, f, answer)
			}
		}
	}
	info := town.JSON[struct {
		URLs    []string
		Release release
	}](t, tw, "info "+app.Name)
	if info.Release.Commit != commit || !slices.Contains(info.URLs, "http://"+app.Host()+"/") {
		t.Errorf("info says %+v", info)
	}
	for _, verb := range []string{"runs attach " + app.Name + " --json", "logs " + app.Name + " --json", "logs " + app.Name + " --run r-1 --json"} {
		lines := tw.Verb(t, verb)
		if lines == "" {
			t.Errorf("%s says nothing", verb)
		}
		for l := range strings.Lines(lines) {
			if !json.Valid([]byte(l)) {
				t.Errorf("%s: %q is no JSON", verb, l)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "codes")
	app.Manifest("-crash")
	app.Change("two")
	app.Push()
	for _, c := range []struct {
		verb string
		code int
		says string
	}{
		{"", 0, "Verbs:"},
		{"info " + app.Name, 0, app.Name},
		{"runs attach " + app.Name + " r-1", 0, "v1 serves"},
		{"runs attach " + app.Name + " r-2", 1, "r-2 failed: web ended with exit code 3"},
		{"runs attach " + app.Name, 1, "r-2 failed"},
		{"nonsense", 64, `there is no verb "nonsense"`},
		{"lgos " + app.Name, 64, "Did you mean: logs"},
		{"info", 64, "info takes APP"},
		{"info a b", 64, "info takes APP"},
		{"info Not_A_Name", 64, "Not_A_Name"},
		{"info " + app.Name + " --nonsense", 64, "unknown flag: --nonsense"},
		{"runs attach " + app.Name + " soon", 64, `"soon" is not a run`},
		{"logs " + app.Name + " -n many", 64, "See: help logs"},
		{"logs '", 64, ""},
		{"info no-such-app", 66, "there is no application no-such-app here"},
		{"logs no-such-app", 66, "there is no application no-such-app here"},
		{"destroy no-such-app --confirm no-such-app", 66, "there is no application no-such-app here"},
		{"runs attach " + app.Name + " r-99", 66, "has no run r-99"},
		{"apps create " + app.Name, 75, "there is an application " + app.Name + " already"},
		{"keys rm SHA256:nobody", 66, "there is no key SHA256:nobody"},
	} {
		r := tw.SSH(t, c.verb)
		if r.Code != c.code || !strings.Contains(r.All(), c.says) {
			t.Errorf("%q: exit %d, want %d with %q:\n%s", c.verb, r.Code, c.code, c.says, r.All())
		}
		if c.code != 0 && !strings.HasPrefix(c.verb, "runs attach") && r.Stdout != "" {
			t.Errorf("%q fails and writes to standard output: %q", c.verb, r.Stdout)
		}
	}
}

func TestPs_ShowsEveryInstance(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "three")
	app.Manifest("", "  num_instances: 3", "worker.tick:", "  cmd: /bin/testapp -worker")
	app.Commit("three")
	app.MustPush()
	type proc struct {
		Proc      string
		State     string
		Instances []struct {
			Number, Release int
			State           string
		}
	}
	for _, p := range town.JSON[[]proc](t, tw, "ps "+app.Name) {
		want := map[string]int{"web": 3, "tick": 1}[p.Proc]
		if len(p.Instances) != want || p.State != "serving" {
			t.Errorf("%s is %s with %d instances, want %d", p.Proc, p.State, len(p.Instances), want)
		}
		for _, i := range p.Instances {
			if i.State != "running" || i.Release != 1 {
				t.Errorf("%s.%d is %s of v%d", p.Proc, i.Number, i.State, i.Release)
			}
		}
	}
	if out := tw.Verb(t, "ps "+app.Name); strings.Count(out, "running") != 4 {
		t.Errorf("ps shows not all four:\n%s", out)
	}
}

// Who follows the logs sees what later releases write, also of procs that are new.
func TestLogsFollow_AcrossAPush(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "follow")
	logs := tw.BeginSSH(t, "logs "+app.Name+" -f")
	logs.Sees("web.1: testapp one listens on port 8080")
	app.Manifest("", "worker.tick:", "  cmd: /bin/testapp -worker -version-file /lain/app/VERSION")
	app.Change("two")
	app.MustPush()
	logs.Sees("testapp two listens on port 8080")
	logs.Sees("tick 2 of two")
	logs.CtrlC()
	logs.Wait()
	if out := tw.Verb(t, "logs "+app.Name+" -p web -n 2"); strings.Count(out, "\n") != 2 || strings.Contains(out, "tick") {
		t.Errorf("logs -p web -n 2 shows\n%s", out)
	}
}

// newcomer is somebody with a key that nobody knows yet.
func newcomer(t *testing.T, tw *town.Town, name string) (key, public, fingerprint string) {
	t.Helper()
	key, err := tw.NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", "-lf", key+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	return key, string(line), strings.Fields(string(out))[1]
}

func TestKeys(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "keys")
	key, public, fingerprint := newcomer(t, tw, "bob")
	if r := tw.SSHAs(t, key, "whoami", nil); r.Code != 255 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Errorf("a stranger: exit %d\n%s", r.Code, r.All())
	}
	if r := tw.SSHAs(t, tw.Key, "keys add bob", strings.NewReader(public)); r.Code != 0 || !strings.Contains(r.Stdout, "bob gets in by "+fingerprint) {
		t.Fatalf("keys add: exit %d\n%s", r.Code, r.All())
	}
	if out := tw.SSHAs(t, key, "whoami", nil).Stdout; out != fmt.Sprintf("bob (%s)\n", fingerprint) {
		t.Errorf("whoami says %q", out)
	}
	bob := app.Clone(t, key)
	commit := bob.Change("bobs")
	bob.MustPush()
	bob.Truth(commit, "bobs")
	if last := newestRun(t, tw, app); last.By != "bob" {
		t.Errorf("the run is by %q", last.By)
	}
	if !strings.Contains(tw.Verb(t, "keys list"), fingerprint) {
		t.Error("keys list does not show the new key")
	}
	tw.Verb(t, "keys rm "+fingerprint)
	bob.Change("again")
	if r := bob.Push(); r.Code != 128 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Errorf("the push with a key that was removed: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(commit, "bobs")
}

func TestKeysAdd_RefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	_, public, _ := newcomer(t, tw, "carol")
	private, err := os.ReadFile(tw.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string]string{
		"nothing":       "",
		"a word":        "ssh-ed25519 nonsense\n",
		"a private key": string(private),
		"with options":  `command="sh" ` + public,
		"two of them":   public + public,
		"much too long": strings.Repeat("A", 1<<20),
	} {
		if r := tw.SSHAs(t, tw.Key, "keys add carol", strings.NewReader(input)); r.Code != 64 || strings.Contains(r.All(), "PRIVATE") {
			t.Errorf("%s: exit %d\n%s", name, r.Code, r.All())
		}
	}
	admins, err := os.ReadFile(tw.Key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if r := tw.SSHAs(t, tw.Key, "keys add carol", bytes.NewReader(admins)); r.Code != 75 || !strings.Contains(r.Stderr, "belongs to admin already") {
		t.Errorf("the admin's key for somebody else: exit %d\n%s", r.Code, r.All())
	}
	if strings.Contains(tw.Verb(t, "keys list"), "carol") {
		t.Error("one of them was taken")
	}
}

func TestTheLastKey_CannotBeRemoved(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	mine := town.JSON[struct{ Fingerprint string }](t, tw, "whoami").Fingerprint
	if r := tw.SSH(t, "keys rm "+mine); r.Code != 75 || !strings.Contains(r.Stderr, "is the last key of the last admin: add another one first") {
		t.Errorf("exit %d\n%s", r.Code, r.All())
	}
	key, public, _ := newcomer(t, tw, "dave")
	tw.SSHAs(t, tw.Key, "keys add dave", strings.NewReader(public))
	if r := tw.SSHAs(t, key, "keys rm "+mine, nil); r.Code != 0 {
		t.Errorf("with another admin there: exit %d\n%s", r.Code, r.All())
	}
	if r := tw.SSH(t, "whoami"); r.Code != 255 {
		t.Errorf("the removed key still gets in: exit %d\n%s", r.Code, r.All())
	}
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "doomed")
	shop := app.Name + ".example.test"
	app.Manifest("", "  mountpoint: ["+shop+"]")
	app.Commit("one")
	app.MustPush()

	heir := tw.NewApp(t, "heir")
	heir.Manifest("", "  mountpoint: ["+shop+"]")
	heir.Commit("one")
	heir.Push().Refused(t, "the host "+shop+" belongs to another application")

	for _, words := range []string{"destroy " + app.Name, "destroy " + app.Name + " --confirm yes"} {
		if r := tw.SSH(t, words); r.Code != 64 || !strings.Contains(r.Stderr, "destroy "+app.Name+" --confirm "+app.Name) {
			t.Errorf("%s: exit %d\n%s", words, r.Code, r.All())
		}
	}
	app.Truth(app.Head(), "one")
	if out := tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name); !strings.Contains(out, app.Name+" is gone.") {
		t.Errorf("destroy says\n%s", out)
	}

	leavesNothing(t, tw, app)
	for _, look := range [][]string{
		{"service", "ls", "--format", "{{.Name}}"}, {"network", "ls", "--format", "{{.Name}}"},
		{"ps", "-a", "--format", "{{.Names}}"}, {"images", "--format", "{{.Repository}}:{{.Tag}}"},
	} {
		out, err := tw.Lab.Docker(t.Context(), "n1", look...)
		if err != nil || strings.Contains(out, app.Name) {
			t.Errorf("docker %s, %v:\n%s", look[0], err, out)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(tw.Data(), "*", app.Name+"*")); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	if code, _, err := tw.Get(app.Host(), "/"); err != nil || code != 404 {
		t.Errorf("its host answers %d, %v; want 404", code, err)
	}
	if r := app.TryGit("ls-remote", "lain"); r.Code == 0 {
		t.Errorf("its repository can be read:\n%s", r.All())
	}

	heir.MustPush()
	if code, body, err := tw.Get(shop, "/"); err != nil || code != 200 || !strings.HasPrefix(body, "one\n") {
		t.Errorf("the heir's host answers %d %q, %v", code, body, err)
	}
	app.Manifest("")
	commit := app.Change("reborn")
	app.MustPush()
	app.Truth(commit, "reborn")
	if last := newestRun(t, tw, app); last.Number != 1 || last.Release != 1 {
		t.Errorf("the name used again begins with %s and v%d", last.id(), last.Release)
	}
}

func TestDestroy_WaitsForNoRunButSaysSo(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "busy")
	h, commit := held(t, app, "two")
	push := app.BeginPush()
	h.reached()
	if r := tw.SSH(t, "destroy "+app.Name+" --confirm "+app.Name); r.Code != 75 || !strings.Contains(r.Stderr, "runs cancel "+app.Name+" r-2") {
		t.Errorf("destroy beside a run: exit %d\n%s", r.Code, r.All())
	}
	h.letGo()
	if r := push.Wait(); r.Code != 0 {
		t.Errorf("the push: exit %d\n%s", r.Code, r.All())
	}
	app.Truth(commit, "two")
}

// What a killed instance leaves: a restart in ps, two events with its exit code, and lines of its own in the logs.
func TestDailyVerbs_OfAKilledInstance(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "daily")
	app.Manifest("", "  num_instances: 2", "  memory: 64m")
	app.Commit("one")
	app.MustPush()
	type instance struct {
		Number, Restarts   int
		State              string
		Memory_Bytes       int64
		Memory_Limit_Bytes int64
	}
	ps := func() (all []instance) {
		for _, p := range town.JSON[[]struct{ Instances []instance }](t, tw, "ps "+app.Name) {
			all = append(all, p.Instances...)
		}
		return all
	}
	for _, i := range ps() {
		if i.Memory_Bytes < 100<<10 || i.Memory_Bytes > 64<<20 || i.Memory_Limit_Bytes != 64<<20 || i.Restarts != 0 {
			t.Errorf("ps says %+v", i)
		}
	}
	follow := tw.BeginSSH(t, "events "+app.Name+" -f")
	follow.Sees("web.2 of v1 started")
	follow.Sees("v1 serves: r-1")
	id, err := tw.Lab.Docker(t.Context(), "n1", "ps", "-q", "--filter", "label=lain.app="+app.Name, "--filter", "name=web.1")
	if err != nil || id == "" {
		t.Fatalf("no container of web.1: %v", err)
	}
	if out, err := tw.Lab.Docker(t.Context(), "n1", "kill", strings.TrimSpace(id)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	follow.Sees("web.1 of v1 died: exit code 137")
	app.Eventually("ps shows the restart", time.Minute, func() error {
		for _, i := range ps() {
			if i.Number == 1 && i.State == "running" && i.Restarts == 1 {
				return nil
			}
		}
		return fmt.Errorf("ps says %+v", ps())
	})
	follow.CtrlC()
	follow.Wait()
	tw.Verb(t, "restart "+app.Name+" web")
	if out := tw.Verb(t, "activity "+app.Name); !strings.Contains(out, "push") || !strings.Contains(out, "restart") || strings.Contains(out, "begun") {
		t.Errorf("activity says\n%s", out)
	}
	for line := range strings.Lines(tw.Verb(t, "logs "+app.Name+" -i web.2 --json")) {
		var l struct {
			Proc, Stream, Message string
			Instance              int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Instance != 2 || l.Proc != "web" || l.Stream == "" {
			t.Errorf("logs -i web.2: %v in %s", err, line)
		}
	}
}

func TestCapacityBasesAndDomains(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app, _ := serving(t, "roomy")
	type room struct {
		Memory_Bytes, Memory_Limits_Bytes, Instance_Memory_Bytes int64
		Fits                                                     int
		Nodes                                                    []struct{ CPUs float64 }
		Disks                                                    []struct{ Free_Bytes, Total_Bytes int64 }
	}
	r := town.JSON[room](t, tw, "capacity --memory 1m")
	if len(r.Nodes) != 1 || r.Nodes[0].CPUs < 1 || r.Memory_Limits_Bytes == 0 || len(r.Disks) == 0 || r.Disks[0].Free_Bytes == 0 {
		t.Errorf("capacity says %+v", r)
	}
	if want := max(0, (r.Memory_Bytes-r.Memory_Limits_Bytes)>>20); int64(r.Fits) != want {
		t.Errorf("%d fit, want %d", r.Fits, want)
	}
	if out := tw.Verb(t, "bases"); !strings.Contains(out, "lain/testapp:1 ") || strings.Contains(out, app.Name) || strings.Contains(out, "lain.invalid") {
		t.Errorf("bases says\n%s", out)
	}
	if out := tw.Verb(t, "open "+app.Name); out != "http://"+app.Host()+"/\n" {
		t.Errorf("open says %q", out)
	}
	if out := tw.Verb(t, "domains "+app.Name); !strings.Contains(out, app.Host()) || !strings.Contains(out, "none") {
		t.Errorf("domains says\n%s", out)
	}
}
