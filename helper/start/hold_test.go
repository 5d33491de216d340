package start

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test's process gets the signals itself: it is told until Hold, which may not listen yet, has ended.
func TestHold(t *testing.T) {
	heard := make(chan os.Signal, 16)
	signal.Notify(heard, syscall.SIGTERM)
	defer signal.Stop(heard)
	ended := make(chan int, 1)
	go func() { ended <- Hold(nil, os.Stderr) }()
	tell := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		<-heard
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		tell(syscall.SIGTERM)
		select {
		case code := <-ended:
			if code != 0 {
				t.Errorf("exit %d", code)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
}

func TestHold_TakesNothing(t *testing.T) {
	var said strings.Builder
	if code := Hold([]string{"on"}, &said); code != ExitUsage || !strings.Contains(said.String(), "usage: helper hold") {
		t.Errorf("exit %d: %s", code, said.String())
	}
}

// A signal that asks for nothing ends nothing.
func TestUntilTold(t *testing.T) {
	signals := make(chan os.Signal, 3)
	signals <- syscall.SIGUSR1
	signals <- syscall.SIGUSR2
	signals <- syscall.SIGTERM
	if untilTold(signals); len(signals) > 0 {
		t.Errorf("it ended %d signals too early", len(signals))
	}
}
