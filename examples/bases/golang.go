package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// goroot is where the toolchain lies in the image.
const goroot = "/usr/local/go"

// settings are the go command's defaults in the image: no network, no C, and the cache that was baked in,
// wherever HOME is. They are written into go.env, so that they hold whatever environment a build has.
var settings = []string{
	"GOTOOLCHAIN=local", "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0",
	"GOPATH=/go", "GOCACHE=/usr/local/go-build",
}

func golang(o options, box string) (base, error) {
	from, err := output("go", "env", "GOROOT")
	if err != nil {
		return base{}, err
	}
	version, err := output("go", "env", "GOVERSION")
	if err != nil {
		return base{}, err
	}
	return base{
		name: "golang", tag: "lain/golang:1.26",
		parts: append([]string{box, certSum(), version, runtime.GOARCH, bakedProgram, bakedTest}, settings...),
		env:   []string{"PATH=" + goroot + "/bin:/usr/local/bin:/bin"},
		make: func(ctx context.Context, root string) error {
			if err := furnish(ctx, root, o.busybox); err != nil {
				return err
			}
			if err := copyToolchain(from, root); err != nil {
				return fmt.Errorf("copy the Go toolchain: %w", err)
			}
			return bake(ctx, root)
		},
	}, nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// left lists what of GOROOT is not needed to build applications.
var left = []string{"api", "doc", "misc", "test", "src/cmd", "pkg/obj"}

func copyToolchain(from, root string) error {
	to := filepath.Join(root, goroot)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(left, rel) || d.Name() == "testdata" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		return copyEntry(path, filepath.Join(to, rel), d)
	})
	return errors.Join(err,
		os.WriteFile(filepath.Join(to, "go.env"), []byte(strings.Join(settings, "\n")+"\n"), 0o644),
		os.Symlink(goroot+"/bin/go", filepath.Join(root, "usr/local/bin/go")),
		os.Symlink(goroot+"/bin/gofmt", filepath.Join(root, "usr/local/bin/gofmt")))
}

func copyEntry(from, to string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return os.MkdirAll(to, 0o755)
	case !d.Type().IsRegular() || strings.HasSuffix(d.Name(), "_test.go"):
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	return copyFile(from, to, info.Mode().Perm())
}

// bakedProgram and bakedTest use what a small web application does. Compiling them fills the build cache
// with the standard library, so that a first build takes 2 s instead of 40.
const (
	bakedProgram = `package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b, _ := json.Marshal(time.Now())
	slog.Info(fmt.Sprint(string(b), os.Args, ctx))
	_ = http.ListenAndServe("127.0.0.1:0", nil)
}
`
	bakedTest = `package main

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", strings.NewReader(""))
	_, _ = io.Copy(io.Discard, r.Body)
}
`
)

// bake compiles inside the root, where every path is what it will be in the image.
func bake(ctx context.Context, root string) error {
	dir := filepath.Join(root, "tmp/bake")
	err := errors.Join(os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module bake\n\ngo 1.26\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte(bakedProgram), 0o644),
		os.WriteFile(filepath.Join(dir, "main_test.go"), []byte(bakedTest), 0o644))
	if err != nil {
		return fmt.Errorf("prepare to bake the build cache: %w", err)
	}
	for _, args := range [][]string{{"build", "-o", "/tmp/bake/out", "."}, {"test", "."}} {
		if err := goInside(ctx, root, args); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir), os.Remove(filepath.Join(root, "dev/null")))
}

// inside runs a command in a root, with /proc and /dev/null, which the go command needs, and no network.
// The mounts end with the namespace they are made in.
const inside = `mount -t proc proc "$0/proc" && touch "$0/dev/null" && mount --bind /dev/null "$0/dev/null" &&
	exec chroot "$0" /bin/sh -c 'cd /tmp/bake && exec "$0" "$@"' "$@"`

func goInside(ctx context.Context, root string, args []string) error {
	argv := append([]string{"--mount", "--net", "--", "sh", "-c", inside, root, goroot + "/bin/go"}, args...)
	cmd := exec.CommandContext(ctx, "unshare", argv...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":" + goroot + "/bin:/bin", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("bake the build cache: go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
