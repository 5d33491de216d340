package enter

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Leave runs "ID": it tells the Main of that ID in this container that its person is gone, for where the end of the stream
// cannot reach it, since the command does not read what stands before it. One that has ended is no error.
func Leave(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		return cannot(exitUsage, errors.New("usage: helper leave ID"), stderr)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return cannot(exitCannot, err, stderr)
	}
	for _, f := range files {
		words := strings.Split(read(f), "\x00")
		if len(words) < 3 || words[1] != "enter" || words[2] != args[0] {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	return 0
}

func read(file string) string {
	text, _ := os.ReadFile(file) // it may have ended just now
	return string(text)
}
