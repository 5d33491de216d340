//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

var (
	mu     sync.Mutex
	passed = map[string]int{}
	target = os.Getenv("LAIN_FAILPOINT")
	record = os.Getenv("LAIN_FAILPOINT_LOG")
	arm    = os.Getenv("LAIN_FAILPOINT_ARM")
)

// Hit counts a point, notes it in the record, and ends the process when it is the one asked for.
func Hit(name string) {
	mu.Lock()
	defer mu.Unlock()
	if !armed() {
		return
	}
	passed[name]++
	note(fmt.Sprintf("%s#%d", name, passed[name]))
	if want, nth, ok := strings.Cut(target, "#"); ok && want == name {
		if n, _ := strconv.Atoi(nth); n == passed[name] {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: nothing after this point may happen
		}
	}
}

func armed() bool {
	if arm == "" {
		return true
	}
	_, err := os.Stat(arm)
	return err == nil
}

func note(line string) {
	if record == "" {
		return
	}
	f, err := os.OpenFile(record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}
