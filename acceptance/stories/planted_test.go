//go:build acceptance

package stories

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"lain.internal/lain/acceptance/town"
)

// The values of this story. The last three are to be found: they show that the search can see.
const (
	first   = "the secret file"
	second  = "the secret file after it was changed"
	config  = "the config value"
	arg     = "the build argument"
	env     = "the env: value"
	layer   = "the file in the image"
	blotted = "[redacted]"
)

// randomValue is one that is nowhere else, of letters and digits.
func randomValue() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 40)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

// Values of a secret file and of config are pushed, printed by a program that dies, changed and rolled back, and
// then searched for everywhere. They are in the memory of the containers, and where the program printed them: in
// its container's log, which is the application's own. A build argument is where lain.yaml is, and nowhere else. A value
// of env: and a file in the image are found, so that the search is known to see.
func TestPlantedValues_AreFoundNowhereButInTheContainers(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Second)
	values := map[string]string{blotted: blotted}
	for _, name := range []string{first, second, config, arg, env, layer} {
		values[name] = randomValue()
	}
	tw := town.New(t, town.Options{})
	history := etcdHistory(t, tw)
	app := tw.NewApp(t, "planted")
	put(t, tw, values[first], "secret put "+app.Name+" conf/planted")
	put(t, tw, values[config], "config set "+app.Name+" PLANTED")
	lines := []string{"  secret_files: [conf/planted]", "  env: [MARKER=" + values[env] + "]"}
	manifest := func(flags string) {
		app.Manifest(flags, lines...)
		script := "['test ${#ARG} = 40']\n  build_arg: [ARG=" + values[arg] + "]"
		app.Write("lain.yaml", strings.Replace(read(t, app, "lain.yaml"), "[echo building]", script, 1))
	}
	manifest("")
	app.Write("layer", values[layer])
	app.Commit("planted")
	app.MustPush()

	manifest("-print-file /lain/app/conf/planted -print-file /lain/config -crash")
	app.Change("careless")
	r := app.Push()
	r.Refused(t, "web ended with exit code 3", blotted)
	failed := newestRun(t, tw, app)
	attached := tw.SSH(t, "runs attach "+app.Name+" "+failed.id())
	logs := dockerAll(t, tw, "service logs", "service", "logs", "--raw")

	manifest("")
	app.Change("two")
	app.MustPush()
	put(t, tw, values[second], "secret put "+app.Name+" conf/planted")
	tw.Verb(t, "rollback "+app.Name+" v1")
	if got := inside(t, tw, app, "/lain/app/conf/planted"); got != values[second] {
		t.Errorf("the secret file is %q, want %q", got, values[second])
	}
	if got, _ := variable(t, tw, app, "PLANTED"); got != values[config] {
		t.Errorf("the config value is %q, want %q", got, values[config])
	}

	h := town.NewHunt(values)
	h.Bytes("what the failing push printed", []byte(r.All()))
	h.Bytes("runs attach", []byte(attached.All()))
	h.Bytes("container logs", []byte(logs))
	searchRecords(h, history())
	searchDisks(t, tw, h, began)
	searchRepositories(t, tw, h)
	searchEngine(t, tw, h)
	searchProcesses(t, h)
	t.Logf("%d MB were searched", h.Searched>>20)
	judgeHunt(t, tw, h, app)
	swapped(t, tw)
}

// judgeHunt says what may be where.
func judgeHunt(t *testing.T, tw *town.Town, h *town.Hunt, app *town.App) {
	t.Helper()
	for _, name := range []string{first, second, config} {
		for _, place := range h.Found(name) {
			ofContainer := strings.HasPrefix(place, "environ of a container")
			printed := strings.HasPrefix(place, "container logs") || strings.Contains(place, "/containers/") && strings.Contains(place, "-json.log")
			if !(ofContainer && name == config) && !(printed && name != second) {
				t.Errorf("%s is in %s", name, place)
			}
		}
	}
	expect := func(name, place string) {
		t.Helper()
		for _, p := range h.Found(name) {
			if strings.Contains(p, place) {
				return
			}
		}
		t.Errorf("%s was not found in %q; it was found in %q", name, place, h.Found(name))
	}
	for _, place := range h.Found(arg) {
		if !ofTree(place, h.Found(arg)) {
			t.Errorf("%s is in %s", arg, place)
		}
	}
	expect(arg, "git repository")
	expect(first, "container logs")
	expect(config, "container logs")
	expect(config, "environ of a container")
	for _, place := range []string{"etcd record", tw.Data() + "/etcd/", "docker inspect of a service", "docker inspect of a task", "docker inspect of a container",
		"environ of a container", "git repository"} {
		expect(env, place)
	}
	expect(layer, "git repository")
	expect(layer, "/registry/")
	for _, place := range []string{"what the failing push printed", "runs attach", "/runs/" + app.Name, "/seen/" + app.Name} {
		expect(blotted, place)
	}
	for _, place := range h.Unread {
		t.Errorf("%s could not be searched", place)
	}
}

// ofTree reports whether a place is lain.yaml itself, the repository, or a layer because lain.yaml is in it.
func ofTree(place string, found []string) bool {
	name := strings.TrimSuffix(place, " (plain)")
	return strings.HasPrefix(place, "git repository") || slices.ContainsFunc(found, func(other string) bool {
		return strings.HasPrefix(other, name) && strings.HasSuffix(other, "/lain.yaml (plain)")
	})
}

// record is one version of a key.
type record struct {
	key   string
	value []byte
}

// etcdHistory remembers where the records stand, and returns what gives all that was written since.
func etcdHistory(t *testing.T, tw *town.Town) func() []record {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(tw.RunDir(), "etcd.sock")}, DialTimeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	start, err := c.Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return func() (all []record) {
		now, err := c.Get(t.Context(), "", clientv3.WithPrefix())
		must(t, err)
		for _, kv := range now.Kvs {
			all = append(all, record{string(kv.Key), kv.Value})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for some := range c.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(start.Header.Revision)) {
			must(t, some.Err())
			for _, e := range some.Events {
				all = append(all, record{string(e.Kv.Key), e.Kv.Value})
				if e.Kv.ModRevision >= now.Header.Revision {
					return all
				}
			}
		}
		t.Fatal("etcd does not tell its history")
		return nil
	}
}

func searchRecords(h *town.Hunt, records []record) {
	for _, r := range records {
		h.Bytes("etcd record "+r.key, append([]byte(r.key+"="), r.value...))
	}
}

// searchDisks looks at the server's folders, the engine's, the node's /run, and what is new in the machine's
// folders for temporary files.
func searchDisks(t *testing.T, tw *town.Town, h *town.Hunt, began time.Time) {
	t.Helper()
	mine := filepath.Dir(tw.Data())
	must(t, h.Tree(mine, nil))
	must(t, h.Tree(tw.Lab.Dir(), nil))
	out, _ := tw.Exec(t.Context(), "tar", "-C", "/run", "--one-file-system", "--ignore-failed-read", "-cf", "-", ".")
	h.Bytes("/run of the node", []byte(out))
	ours := len(h.Unread)
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm", "/run"} {
		must(t, h.Tree(dir, func(path string, d fs.DirEntry) bool {
			if d.IsDir() {
				return path == mine || path == filepath.Dir(tw.Lab.Dir()) || strings.HasPrefix(d.Name(), "go-build") || d.Name() == ".git"
			}
			info, err := d.Info()
			return err != nil || info.ModTime().Before(began) || info.Size() > 64<<20
		}))
	}
	t.Logf("not looked into, of others on this machine: %q", h.Unread[ours:])
	h.Unread = h.Unread[:ours]
	if info, err := os.Stat(filepath.Join(tw.Data(), "vault", "live", "audit", "file")); err != nil || info.Size() == 0 {
		t.Errorf("there is no audit trail that was searched: %v", err)
	}
}

func searchRepositories(t *testing.T, tw *town.Town, h *town.Hunt) {
	t.Helper()
	heads, err := filepath.Glob(filepath.Join(tw.Data(), "*", "*", "HEAD"))
	must(t, err)
	for _, head := range heads {
		dir := filepath.Dir(head)
		out, err := exec.Command("git", "--git-dir", dir, "cat-file", "--batch", "--batch-all-objects").CombinedOutput()
		if err != nil {
			t.Errorf("git cat-file in %s: %v\n%s", dir, err, out)
		}
		h.Bytes("git repository "+dir, out)
	}
}

// dockerAll runs an engine's command for everything of a kind; how is what comes before the id.
func dockerAll(t *testing.T, tw *town.Town, kind string, how ...string) string {
	t.Helper()
	lists := map[string][]string{
		"service": {"service", "ls", "-q"}, "service logs": {"service", "ls", "-q"}, "container": {"ps", "-aq"}, "secret": {"secret", "ls", "-q"}, "config": {"config", "ls", "-q"},
		"image": {"image", "ls", "-aq"}, "history": {"image", "ls", "-aq"}, "network": {"network", "ls", "-q"}, "volume": {"volume", "ls", "-q"}, "node": {"node", "ls", "-q"},
	}
	list := lists[kind]
	if kind == "task" {
		services, err := tw.Lab.Docker(t.Context(), "n1", "service", "ls", "-q")
		must(t, err)
		list = append([]string{"service", "ps", "-q", "--no-trunc"}, strings.Fields(services)...)
	}
	ids, err := tw.Lab.Docker(t.Context(), "n1", list...)
	must(t, err)
	var all strings.Builder
	for _, id := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(ids)))) {
		out, err := exec.CommandContext(t.Context(), "docker", append(append([]string{"-H", tw.Lab.DockerHost("n1")}, how...), id)...).CombinedOutput()
		if err != nil && !strings.Contains(strings.ToLower(string(out)), "no such") {
			t.Errorf("docker %v %s: %v\n%s", how, id, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

func searchEngine(t *testing.T, tw *town.Town, h *town.Hunt) {
	t.Helper()
	for _, kind := range []string{"service", "task", "container", "secret", "config", "image", "network", "volume", "node"} {
		h.Bytes("docker inspect of a "+kind, []byte(dockerAll(t, tw, kind, "inspect", "--type", kind)))
	}
	h.Bytes("docker history", []byte(dockerAll(t, tw, "history", "history", "--no-trunc")))
	h.Bytes("container logs", []byte(dockerAll(t, tw, "service logs", "service", "logs", "--raw")))
}

var inContainer = regexp.MustCompile(`[0-9a-f]{64}`)

// searchProcesses looks at the arguments of all processes and at their environments. Config values are in those of
// the containers' processes, by their nature.
func searchProcesses(t *testing.T, h *town.Hunt) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, dir := range dirs {
		if args, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
			h.Bytes("arguments of "+strings.ReplaceAll(string(args), "\x00", " "), args)
		}
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		switch {
		case err != nil: // it has ended
		case inContainer.Match(group):
			h.Bytes("environ of a container", env)
		default:
			comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
			h.Bytes("environ of "+strings.TrimSpace(string(comm)), env)
		}
	}
}

// swapped checks that the vault's memory can't be: there is no swap, or it is locked.
func swapped(t *testing.T, tw *town.Town) {
	t.Helper()
	swaps, err := os.ReadFile("/proc/swaps")
	must(t, err)
	if strings.Count(string(swaps), "\n") <= 1 {
		t.Log("this machine has no swap")
	}
	self, err := tw.Exec(t.Context(), "cat", fmt.Sprintf("/proc/%d/status", tw.VaultPID(t)))
	must(t, err)
	if locked := status(self, "VmLck"); locked == "" || locked == "0 kB" {
		t.Errorf("the vault's memory is not locked: VmLck is %q", locked)
	}
}
