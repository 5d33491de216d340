//go:build acceptance

package stories

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lain.internal/lain/acceptance/lab"
	"lain.internal/lain/acceptance/town"
)

// Two servers on one machine and one engine: an application of the same name on each, and neither knows of the
// other's.
func TestTwoServersShareAnEngine(t *testing.T) {
	t.Parallel()
	tw := town.New(t, town.Options{})
	dir, err := os.MkdirTemp("", "lain-two")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	own := []string{"--cluster", "two", "--data", filepath.Join(dir, "data"), "--run", filepath.Join(dir, "run"), "--engine", tw.Lab.DockerHost("n1")}
	second := tw.Lab.Exec(context.Background(), "n1", append(append([]string{town.Bin("laind"), "serve"}, own...),
		"--ssh-addr", ":2223", "--router-http-addr", ":81", "--registry-addr", "127.0.0.1:5001", "--api-addr", ":7071",
		"--git-uid", "64647", "--admin-key", tw.Key+".pub")...)
	said := town.Begin(t, second)
	t.Cleanup(func() {
		_ = lab.Signal(second, 9)
		said.Wait()
		if out, err := tw.Exec(context.Background(), append([]string{town.Bin("laind"), "down"}, own...)...); err != nil {
			t.Errorf("laind down: %v\n%s", err, out)
		}
		os.RemoveAll(dir)
	})
	said.Sees("msg=ready")

	app := tw.NewApp(t, "both")
	app.MustPush()
	app.Git("remote", "add", "two", fmt.Sprintf("ssh://lain@%s:2223/%s", tw.IP(), app.Name))
	app.Change("of the second")
	app.MustPush("two", "main")

	app.Serves("one")
	if got := askPort(t, tw, app.Host(), 81); !strings.HasPrefix(got, "of the second") {
		t.Errorf("the second server's application answers %q", got)
	}
	tw.Verb(t, "destroy "+app.Name+" --confirm "+app.Name)
	if got := askPort(t, tw, app.Host(), 81); !strings.HasPrefix(got, "of the second") {
		t.Errorf("after the first one was destroyed the second answers %q", got)
	}
	if code, _, _ := tw.Get(app.Host(), "/"); code != http.StatusNotFound {
		t.Errorf("the destroyed application answers %d", code)
	}
}

func askPort(t *testing.T, tw *town.Town, host string, port int) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s:%d/", tw.IP(), port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestDoctorFindsThisNodeFit(t *testing.T) {
	tw := shared(t)
	out, err := tw.Exec(t.Context(), town.Bin("laind"), "doctor", "--engine", tw.Lab.DockerHost("n1"), "--address-pool", "10.201.0.0/16",
		"--ssh-addr", ":3222", "--router-http-addr", ":3080", "--registry-addr", "127.0.0.1:3500", "--api-addr", "127.0.0.1:3707")
	if err != nil || strings.Contains(out, "FAIL") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	out, err = tw.Exec(t.Context(), town.Bin("laind"), "doctor", "--engine", "unix:///nowhere.sock")
	if err == nil || !strings.Contains(out, "FAIL engine") || !strings.Contains(out, "FAIL port :2222") {
		t.Errorf("doctor finds a missing engine and a taken port all right: %v\n%s", err, out)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	tw := shared(t)
	app := tw.NewApp(t, "metrics")
	app.MustPush()
	resp, err := http.Get(fmt.Sprintf("http://%s:%d/metrics", tw.IP(), town.APIPort))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`lain_runs_total{state="done"}`, `lain_stage_seconds_bucket{stage="rollout"`, "process_resident_memory_bytes"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
