// Command lain-helper is the one static program that Lain puts into every container, read-only, as
// /lain/helper. It starts the application's command (package start) and asks it whether it is well
// (package probe); it answers nobody. In a container that a person's command is run in, it waits. It stays beside a command that gets requests, to hold the signal to end back for a
// moment, and beside that of a oneshot; of all others nothing stays in memory.
//
// Build it with CGO_ENABLED=0 and -ldflags "-s -w": about 2 MB, and running within two milliseconds.
package main

import (
	"io"
	"os"
	"runtime"

	"lain.internal/lain/helper/enter"
	"lain.internal/lain/helper/file"
	"lain.internal/lain/helper/probe"
	"lain.internal/lain/helper/start"
)

const usage = `lain-helper starts the command of a container and asks it whether it is well.

  helper run [--config FILE] -- COMMAND [ARGUMENT...]
  helper serve HOLD [--config FILE] -- COMMAND [ARGUMENT...]
  helper once [--config FILE] -- COMMAND [ARGUMENT...]
  helper hold
  helper probe (--http URL | --tcp HOST:PORT | --exec) [--timeout 3s] [--interval 5s] [--state FILE] [-- COMMAND...]
  helper enter ID [--terminal NAME COLUMNS ROWS] [--config FILE] -- [COMMAND [ARGUMENT...]]
  helper leave ID
  helper get PATH
  helper put PATH
`

// exitUsage is what sysexits.h calls EX_USAGE.
const exitUsage = 64

// The process goes on as the application's: no thread but the first may change it (package start).
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "run":
		return start.Main(args[1:], stderr)
	case "serve":
		return start.Serve(args[1:], probe.Well, stderr)
	case "once":
		return start.Once(args[1:], stderr)
	case "hold":
		return start.Hold(args[1:], stderr)
	case "probe":
		return probe.Main(args[1:], stdout, stderr)
	case "enter":
		return enter.Main(args[1:], stdin, stderr)
	case "leave":
		return enter.Leave(args[1:], stderr)
	case "get":
		return file.Get(args[1:], stdout, stderr)
	case "put":
		return file.Put(args[1:], stdin, stderr)
	case "help", "--help", "-h":
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	_, _ = io.WriteString(stderr, "lain-helper: there is no verb "+args[0]+"; see: helper --help\n")
	return exitUsage
}
