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
	signal.Notify(heard, syscall.SIGUSR1, syscall.SIGTERM)
	defer signal.Stop(heard)
	ended := make(chan int, 1)
	go func() { ended <- Hold(nil, os.Stderr) }()
	tell := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		<-heard
	}
	for range 3 {
		tell(syscall.SIGUSR1)
	}
	if len(ended) > 0 {
		t.Fatal("it ended by a signal that means nothing to it")
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
