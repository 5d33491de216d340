//go:build engine

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestEngineHelperInAContainer runs the helper as every container has it: bound read-only, the root file system
// read-only, a plain user, no capabilities, the default seccomp filter. LAIN_TEST_DOCKER_HOST names the
// engine, which must see this machine's files.
func TestEngineHelperInAContainer(t *testing.T) {
	host := os.Getenv("LAIN_TEST_DOCKER_HOST")
	if host == "" {
		t.Fatal("LAIN_TEST_DOCKER_HOST is not set: this test needs an engine")
	}
	docker := func(args ...string) *exec.Cmd {
		return exec.Command("docker", append([]string{"-H", host}, args...)...)
	}
	name := fmt.Sprintf("helper%d", os.Getpid())
	busyboxImage(t, docker, name)
	run := docker("run", "-d", "--name", name, "--read-only", "--user", "1000", "--cap-drop", "ALL", "-v", helper+":/lain/helper:ro",
		"--entrypoint", "/lain/helper", name,
		"run", "--", "/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/")
	if out, problem, code := call(t, run); code != 0 {
		t.Fatalf("%s%s", out, problem)
	}
	t.Cleanup(func() { _ = docker("rm", "-f", name).Run() })

	if out, _, _ := call(t, docker("exec", name, "/bin/busybox", "cat", "/proc/1/status")); !strings.Contains(out, "NoNewPrivs:\t1\n") ||
		!strings.Contains(out, "Name:\tbusybox") {
		t.Errorf("pid 1 is not the application, or may gain privileges:\n%s", out)
	}
	probe := func() (string, time.Duration) {
		began := time.Now()
		out, problem, code := call(t, docker("exec", name, "/lain/helper", "probe",
			"--http", "http://self:8080/bin/busybox", "--interval", "2s", "--state", ""))
		if code != 0 {
			t.Fatalf("exit %d: %s%s", code, out, problem)
		}
		return out, time.Since(began)
	}
	first, fast := probe()
	if !strings.HasSuffix(first, ": 200 OK\n") {
		t.Errorf("the first probe says %q", first)
	}
	if _, slow := probe(); slow < 2*time.Second || fast >= 2*time.Second {
		t.Errorf("the first probe took %s, the second %s: only the second sleeps", fast, slow)
	}
	if out, problem, code := call(t, docker("restart", "-t", "0", name)); code != 0 {
		t.Fatalf("%s%s", out, problem)
	}
	if _, again := probe(); again >= 2*time.Second {
		t.Errorf("a container started anew remembers the old one: %s", again)
	}
}

// busyboxImage makes an image of this machine's busybox.
func busyboxImage(t *testing.T, docker func(...string) *exec.Cmd, name string) {
	t.Helper()
	archive, err := exec.Command("tar", "-C", "/", "-c", "bin/busybox").Output()
	if err != nil {
		t.Fatal(err)
	}
	load := docker("import", "-", name)
	load.Stdin = bytes.NewReader(archive)
	if out, problem, code := call(t, load); code != 0 {
		t.Fatalf("%s%s", out, problem)
	}
	t.Cleanup(func() { _ = docker("rmi", "-f", name).Run() })
}
