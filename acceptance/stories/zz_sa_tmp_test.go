//go:build acceptance

package stories

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"lain.internal/lain/acceptance/town"
)

func TestZZ(t *testing.T) {
	tw := shared(t)
	app, _ := serving(t, "stopped")
	logs := tw.BeginSSH(t, "logs "+app.Name+" -f")
	logs.Sees("listens")
	for i := 0; i < 15; i++ {
		script(t, app, fmt.Sprintf("busybox seq %d | busybox sed 's/^/row /'; echo %d", rows, i))
		app.Change(fmt.Sprint("chatty", i))
		push := app.BeginPush()
		push.Sees("row 1")
		push.Signal(syscall.SIGSTOP)
		start := time.Now()
		err := town.Until(t.Context(), 45*time.Second, func() error {
			r := newestRun(t, tw, app)
			if r.Ended.IsZero() {
				return fmt.Errorf("%s %s", r.State, r.Stage)
			}
			return nil
		})
		t.Log(i, time.Since(start), err)
		if err != nil {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				line, _ := os.ReadFile(f)
				if bytes.HasPrefix(line, []byte("/tmp/sa-bin/laind\x00serve")) && bytes.Contains(line, []byte(tw.Data())) {
					pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
					t.Log("quit", pid)
					syscall.Kill(pid, syscall.SIGQUIT)
				}
				if bytes.HasPrefix(line, []byte("dockerd\x00")) && bytes.Contains(line, []byte(tw.Lab.Dir())) {
					pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
					t.Log("usr1 dockerd", pid)
					syscall.Kill(pid, syscall.SIGUSR1)
				}
			}
			time.Sleep(3 * time.Second)
			os.WriteFile("/tmp/sa-dump.txt", []byte(tw.Log(6000)), 0o644)
			os.RemoveAll("/tmp/sa-runlog")
			os.CopyFS("/tmp/sa-runlog", os.DirFS(filepath.Join(tw.Data(), "runs")))
			m, _ := filepath.Glob(tw.Lab.Dir() + "/*/*.log")
			mm, _ := filepath.Glob(tw.Lab.Dir() + "/*/*goroutine*")
			m3, _ := filepath.Glob("/var/run/docker/*goroutine*")
			t.Log(m, mm, m3)
			for _, x := range append(m, mm...) {
				d, _ := os.ReadFile(x)
				os.WriteFile("/tmp/sa-dump-"+filepath.Base(x), d, 0o644)
			}
			t.FailNow()
		}
		push.Signal(syscall.SIGCONT)
		push.Wait()
	}
}
