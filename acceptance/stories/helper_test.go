//go:build acceptance

package stories

import (
	"archive/tar"
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// inside reads a file as the application sees it.
func inside(t *testing.T, tw *town.Town, app *town.App, path string) string {
	t.Helper()
	code, body, err := tw.Get(app.Host(), "/file?p="+url.QueryEscape(path))
	if err != nil || code != 200 {
		t.Fatalf("%s inside %s: %d %q %v", path, app.Name, code, body, err)
	}
	return body
}

// variable is an environment variable of the application; ok is false where it is not set.
func variable(t *testing.T, tw *town.Town, app *town.App, name string) (value string, ok bool) {
	t.Helper()
	code, body, err := tw.Get(app.Host(), "/env?k="+url.QueryEscape(name))
	if err != nil || code != 200 && code != 404 {
		t.Fatalf("%s of %s: %d %q %v", name, app.Name, code, body, err)
	}
	return body, code == 200
}

// status is a line of /proc/self/status.
func status(text, key string) string {
	m := regexp.MustCompile(`(?m)^` + key + `:\s+(.*)$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// limit is a limit of the application's cgroup, of whichever version.
func limit(t *testing.T, tw *town.Town, app *town.App, paths ...string) string {
	t.Helper()
	for _, path := range paths {
		code, body, err := tw.Get(app.Host(), "/file?p="+path)
		if err == nil && code == 200 {
			return strings.TrimSpace(body)
		}
	}
	t.Fatalf("none of %v is inside %s", paths, app.Name)
	return ""
}

func TestInsideAContainer_RightsAndLimits(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "narrow")
	app.Manifest("", "  memory: 96m")
	app.Commit("with a limit")
	app.MustPush()
	self := inside(t, tw, app, "/proc/self/status")
	// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10
	for key, want := range map[string]string{"NoNewPrivs": "1", "CapBnd": "00000000000004fb", "CapEff": "00000000000004fb", "CapAmb": "0000000000000000", "Seccomp": "2"} {
		if got := status(self, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := limit(t, tw, app, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"); got != "100663296" {
		t.Errorf("the memory limit is %s, want 96 MiB", got)
	}
	if got := limit(t, tw, app, "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"); got != "2048" {
		t.Errorf("the pids limit is %s, want 2048", got)
	}
	mounts := inside(t, tw, app, "/proc/self/mountinfo")
	if !regexp.MustCompile(`(?m) /lain/helper ro[, ]`).MatchString(mounts) {
		t.Errorf("/lain/helper is not mounted read-only:\n%s", mounts)
	}
	if strings.Contains(mounts, "docker.sock") || strings.Contains(mounts, tw.Data()+"/etcd") {
		t.Errorf("there is more of the machine inside than the helper:\n%s", mounts)
	}
}

func TestInsideAContainer_Environment(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "verbatim")
	verbatim := map[string]string{
		"SPACES": "  two  spaces ", "TEMPLATE": "{{.Service.Name}} {{ if }} }}{{", "QUOTES": `it's "quoted" \ and \n`, "DOLLAR": "$HOME ${PATH} $(id) `id`",
		"EMPTY": "", "EQUALS": "a=b=c", "UNICODE": "żółw 🐢", "LIST": "a,b;c|d&e", "HASH": "a # b", "LONG": strings.Repeat("x", 8000),
	}
	lines := []string{"  num_instances: 1", "  env:"}
	for k, v := range verbatim {
		lines = append(lines, "    - '"+strings.ReplaceAll(k+"="+v, "'", "''")+"'")
	}
	app.Manifest("", append(lines, "    - PORT=1", "    - LAIN_APPNAME=another")...)
	commit := app.Commit("with an environment")
	app.MustPush()
	for k, want := range verbatim {
		if got, ok := variable(t, tw, app, k); !ok || got != want {
			t.Errorf("%s is %q (%t), want %q", k, got, ok, want)
		}
	}
	for k, want := range map[string]string{"PORT": "8080", "LAIN_APPNAME": app.Name, "LAIN_PROCNAME": "web", "LAIN_INSTANCE_NO": "1", "LAIN_DOMAIN": "lain.localhost",
		"LAIN_RELEASE": "v1", "LAIN_APP_RELEASE_VERSION": commit, "DEPLOYD_POD_NAME": app.Name + ".web.web", "DEPLOYD_POD_INSTANCE_NO": "1", "DEPLOYD_POD_NAMESPACE": app.Name} {
		if got, ok := variable(t, tw, app, k); !ok || got != want {
			t.Errorf("%s is %q (%t), want %q", k, got, ok, want)
		}
	}
	if got := strings.TrimSpace(inside(t, tw, app, "/etc/hostname")); got != "web-1" {
		t.Errorf("the host name is %q, want web-1", got)
	}
}

func TestInsideAContainer_UserAndWorkdir(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	for user, ids := range map[string]string{"nobody": "65534 65534", `"1234:2345"`: "1234 2345", "nobody:root": "65534 0"} {
		app := tw.NewApp(t, "clerk")
		app.Manifest("", "  user: "+user, "  workdir: /lain")
		app.Commit("as somebody else")
		app.MustPush()
		self := inside(t, tw, app, "/proc/self/status")
		uid, gid := strings.Fields(status(self, "Uid")), strings.Fields(status(self, "Gid"))
		if len(uid) != 4 || len(gid) != 4 || uid[0]+" "+gid[0] != ids || uid[1] != uid[0] {
			t.Errorf("user: %s runs as %v %v, want %s", user, uid, gid, ids)
		}
		if got := inside(t, tw, app, "app/VERSION"); got != "one\n" {
			t.Errorf("in /lain, app/VERSION is %q", got)
		}
		if got := status(self, "CapEff"); got != "0000000000000000" {
			t.Errorf("user: %s has the capabilities %s", user, got)
		}
	}
}

func TestAnImageWithoutAShell_Serves(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	app := tw.NewApp(t, "shellless")
	app.Write("lain.yaml", "appname: "+app.Name+`
build: {base: lain/testapp:1, script: [echo building]}
release:
  dest_base: scratch
  copy: [{src: /bin/testapp, dest: /serve}, {src: VERSION, dest: /VERSION}]
web: {cmd: /serve -version-file /VERSION, port: 8080, healthcheck: /healthz, user: "1000"}
`)
	app.Commit("from nothing")
	app.MustPush()
	app.Truth(app.Head(), "one")
	if code, body, _ := tw.Get(app.Host(), "/file?p=/bin/sh"); code != 404 {
		t.Errorf("there is a shell: %d %q", code, body)
	}
}

// importForeign gives the engine an image that Lain did not make: the test application, with an entrypoint and
// a command of its own.
func importForeign(t *testing.T, tw *town.Town, name string) {
	t.Helper()
	program, err := os.ReadFile(town.Bin("testapp"))
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, dir := range []string{"bin", "lain", "etc", "tmp"} {
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755})
	}
	if err == nil {
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/testapp", Mode: 0o755, Size: int64(len(program))})
	}
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker", "-H", tw.Lab.DockerHost("n1"), "import", "-c", `ENTRYPOINT ["/bin/testapp","-lines","1"]`,
		"-c", `CMD ["-version","the-images-own"]`, "-c", "ENV FROM=image", "-", name)
	cmd.Stdin = &files
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
}

// The rules of entrypoint and cmd are Docker's: an entrypoint of one's own drops the image's command.
func TestAForeignImage_RunsAsItsEntrypointAndCommandSay(t *testing.T) {
	t.Parallel()
	tw := shared(t)
	importForeign(t, tw, "somebody/elses:3")
	app := tw.NewApp(t, "foreign")
	app.Manifest("",
		"web.plain: {image: 'somebody/elses:3', port: 8080, mountpoint: [/plain]}",
		"web.cmd: {image: 'somebody/elses:3', port: 8080, mountpoint: [/cmd], cmd: [-version, my command]}",
		"web.entry: {image: 'somebody/elses:3', port: 8080, mountpoint: [/entry], entrypoint: /bin/testapp, env: [VERSION=from-the-environment]}",
		"web.both: {image: 'somebody/elses:3', port: 8080, mountpoint: [/both], entrypoint: [/bin/testapp], cmd: [-version, mine]}")
	app.Commit("with foreign images")
	app.MustPush()
	app.Serves("one")
	for path, want := range map[string]string{"/plain/": "the-images-own\nplain-1\n", "/cmd/": "my command\ncmd-1\n", "/entry/": "from-the-environment\nentry-1\n", "/both/": "mine\nboth-1\n"} {
		if code, body, err := tw.Get(app.Host(), path); code != 200 || body != want {
			t.Errorf("%s answers %d %q (%v), want %q", path, code, body, err, want)
		}
		if _, body, _ := tw.Get(app.Host(), path+"env?k=FROM"); body != "image" {
			t.Errorf("the image's environment is not there: %q", body)
		}
	}
}

func TestAForeignImageThatIsNowhere_IsRefusedByItsName(t *testing.T) {
	t.Parallel()
	app := shared(t).NewApp(t, "nowhere")
	app.Manifest("", "worker.x: {image: 'nobody/knows:9'}")
	app.Commit("with an image that is nowhere")
	app.Push().Refused(t, "nobody/knows:9")
}
