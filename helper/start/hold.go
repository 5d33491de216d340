package start

import (
	"errors"
	"io"
	"os"
	"os/signal"
)

// Hold does nothing until it is told to end, and returns 0 then. It keeps a container up that people run commands in
// (package enter); when it ends, they end with the container.
func Hold(args []string, stderr io.Writer) int {
	if len(args) > 0 {
		return cannot(ExitUsage, errors.New("usage: helper hold"), stderr)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, forwarded...)
	untilTold(signals)
	return 0
}

// untilTold waits for a signal that asks to end.
func untilTold(signals <-chan os.Signal) {
	for s := range signals {
		if stopping[s] {
			return
		}
	}
}
