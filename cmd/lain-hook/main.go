// Command lain-hook is the hook that git runs for every push. It connects git to laind and decides
// nothing; package hook says how.
package main

import (
	"os"

	"lain.internal/lain/gitserver/hook"
)

func main() {
	os.Exit(hook.Run(os.Args[0], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
