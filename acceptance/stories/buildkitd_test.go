//go:build acceptance

package stories

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/lab"
	"lain.internal/lain/acceptance/town"
)

const (
	buildkitdConf = `
[registry."127.0.0.1:5000"]
  http = true
[worker.containerd]
  enabled = false
[worker.oci]
  networkMode = "cni"
  cniConfigPath = "DIR/cni.conflist"
  cniBinaryPath = "/usr/lib/cni"
  defaultCgroupParent = "/LAB/n1/buildkit"
`
	buildkitdNet = `{"cniVersion": "1.0.0", "name": "lain-build", "plugins": [{"type": "bridge", "bridge": "lain-build0", "isGateway": true, "ipMasq": true,
"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.211.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "DIR/leases"}}]}`
)

// buildkitd is one inside the node of a town, with its socket, files and log in a folder.
type buildkitd struct {
	t   *testing.T
	tw  *town.Town
	dir string
	cmd *exec.Cmd
}

func (b *buildkitd) start() {
	b.t.Helper()
	for name, text := range map[string]string{"buildkitd.toml": buildkitdConf, "cni.conflist": buildkitdNet} {
		must(b.t, os.WriteFile(filepath.Join(b.dir, name), []byte(strings.NewReplacer("DIR", b.dir, "LAB", b.tw.Lab.Name()).Replace(text)), 0o600))
	}
	b.cmd = b.tw.Lab.Exec(b.t.Context(), "n1", "env", "BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1",
		town.Bin("buildkitd"), "--addr", "unix://"+b.dir+"/socket", "--root", b.dir+"/root", "--config", b.dir+"/buildkitd.toml")
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(b.t, b.cmd.Start())
	must(b.t, town.Until(b.t.Context(), 2*time.Minute, func() error {
		_, err := os.Stat(b.dir + "/socket")
		return err
	}))
}

func (b *buildkitd) kill() {
	b.t.Helper()
	must(b.t, lab.Signal(b.cmd, syscall.SIGKILL))
	_ = b.cmd.Wait() // killed
	must(b.t, os.Remove(b.dir+"/socket"))
}

// A buildkitd builds in the engine's place: its images serve, the same tree is not built again, a Dockerfile and a failing step are what
// they are on the engine, and without it a push is refused while what serves goes on.
func TestBuildkitd_BuildsInTheEnginesPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tw := town.New(t, town.Options{Args: []string{"--buildkit", "unix://" + dir + "/socket"}})
	b := &buildkitd{t: t, tw: tw, dir: dir}
	app := tw.NewApp(t, "kit")
	app.Push().Refused(t, "the buildkitd at unix://", "could not run")
	b.start()
	app.MustPush()
	app.Truth(app.Head(), "one")
	if out, err := tw.Lab.Docker(t.Context(), "n1", "system", "df", "--format", "{{.Type}} {{.Size}}"); err != nil || !strings.Contains(out, "Build Cache 0B") {
		t.Errorf("the engine has built: %s %v", out, err)
	}
	app.Commit("the same tree")
	if r := app.MustPush(); strings.Contains(r.All(), "Building") {
		t.Errorf("it was built again:\n%s", r.All())
	}
	serves := app.Head()
	script(t, app, "echo from the step; exit 42")
	app.Commit("fails")
	app.Push().Refused(t, "build.script[0] failed with exit code 42", "from the step")
	b.kill()
	script(t, app, "echo fine again")
	app.Change("two")
	app.Push().Refused(t, "the buildkitd at unix://")
	app.Truth(serves, "one")
	b.start()
	app.MustPush()
	app.Truth(app.Head(), "two")
}
