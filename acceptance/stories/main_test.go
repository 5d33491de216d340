//go:build acceptance

package stories

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"lain.internal/lain/acceptance/town"
)

// common is the town that peaceful stories share; it is opened by the first one that asks.
var common struct {
	sync.Once
	town *town.Town
	err  error
}

func shared(t *testing.T) *town.Town {
	t.Helper()
	common.Do(func() { common.town, common.err = town.Open(context.Background(), town.Options{Leave: true}) })
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.town
}

func TestMain(m *testing.M) {
	// A shell without job control starts its background jobs with Ctrl-C ignored, nohup starts them with SIGHUP ignored,
	// and so would be the git and ssh of the people in the stories: ssh leaves that as it finds it. A signal that is caught
	// here is not ignored there.
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	code := m.Run()
	if common.town != nil {
		if code != 0 {
			fmt.Fprintf(os.Stderr, "the shared server's last words:\n%s\n", common.town.Log(60))
		}
		if err := common.town.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the shared town:", err)
			code = 1
		}
	}
	os.Exit(code)
}
