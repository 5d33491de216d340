package local_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lain.internal/lain/vaultbridge/local"
)

// TestKilledAtEachStep kills a server before the first and after every write of a first start, of a start that
// adopts, and of a repair, and starts another: it serves, keeps what there was, and leaves no root token.
func TestKilledAtEachStep(t *testing.T) {
	program := filepath.Join(t.TempDir(), "server")
	if out, err := exec.Command("go", "test", "-c", "-tags", "failpoint", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, prepare := range map[string]func(*testing.T, local.Options){
		"first start": func(*testing.T, local.Options) {},
		"restart":     func(t *testing.T, o local.Options) { down(t, used(t, o)) },
		"adoption":    func(t *testing.T, o local.Options) { used(t, o) },
		"repair": func(t *testing.T, o local.Options) {
			v := used(t, o)
			root(t, v)
			remove(t, v.Settled())
		},
		"replacement": func(t *testing.T, o local.Options) {
			o.RunDir += "/else"
			used(t, o)
		},
	} {
		t.Run(name, func(t *testing.T) { killEverywhere(t, program, prepare) })
	}
}

// used is a Vault that has a secret.
func used(t *testing.T, o local.Options) *local.Vault {
	t.Helper()
	v := start(t, o)
	put(t, v, "test/app/one", "eins")
	return v
}

func down(t *testing.T, v *local.Vault) {
	t.Helper()
	if err := v.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func killEverywhere(t *testing.T, program string, prepare func(*testing.T, local.Options)) {
	t.Helper()
	points := passed(t, program, prepare)
	if len(points) == 0 {
		t.Fatal("no write was passed")
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			o := room(t)
			prepare(t, o)
			dying := server(o, program, "start")
			dying.Env = append(dying.Env, "LAIN_FAILPOINT="+point)
			out, err := dying.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v: %s", err, out)
			}
			v := start(t, o)
			if strings.Contains(t.Name(), "first_start") {
				put(t, v, "test/app/one", "eins")
			}
			if got := get(t, v, "test/app/one"); got != "eins" {
				t.Errorf("read %q", got)
			}
			if n := roots(t, v); n != 0 {
				t.Errorf("%d root tokens are left", n)
			}
		})
	}
}

// passed runs a server to its end and returns the first point it passes, and all behind a write.
func passed(t *testing.T, program string, prepare func(*testing.T, local.Options)) []string {
	t.Helper()
	o := room(t)
	prepare(t, o)
	record := filepath.Join(t.TempDir(), "points")
	whole := server(o, program, "start")
	whole.Env = append(whole.Env, "LAIN_FAILPOINT_LOG="+record)
	if out, err := whole.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	points := strings.Fields(string(data))
	first := true
	return slices.DeleteFunc(points, func(p string) bool {
		drop := !first && !strings.Contains(p, ":after#")
		first = false
		return drop
	})
}
