package vaultbridge

import (
	"fmt"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// MissingFile is a secret file that a proc or a build declares and the vault does not have.
type MissingFile struct {
	Proc lain.ProcName // "": the build
	Path lain.SecretPath
}

// MissingError lists all files that are missing, in the order of procs and paths. It is a fault of kind Invalid
// whose hint has the command for each.
type MissingError struct {
	App   lain.AppName
	Files []MissingFile
}

func (e *MissingError) Error() string { return e.fault().Error() }

// Unwrap gives the fault to fault.Of.
func (e *MissingError) Unwrap() error { return e.fault() }

// Command is what puts a file into the vault, for that proc alone, or for a build.
func (f MissingFile) Command(app lain.AppName) string {
	if f.Proc == "" {
		return fmt.Sprintf("ssh lain secret put %s %s < FILE", app, quotedTwice(f.Path))
	}
	return fmt.Sprintf("ssh lain secret put -p %s %s %s < FILE", f.Proc, app, quotedTwice(f.Path))
}

func (e *MissingError) fault() *fault.Fault {
	names, hints := make([]string, 0, len(e.Files)), make([]string, 0, len(e.Files))
	for _, f := range e.Files {
		names = append(names, fmt.Sprintf("%s of %s", f.Path, f.whose()))
		hints = append(hints, f.Command(e.App))
	}
	sentence := fmt.Sprintf("%d secret files are missing: %s", len(e.Files), strings.Join(names, ", "))
	if len(e.Files) == 1 {
		sentence = "a secret file is missing: " + names[0]
	}
	return fault.New(fault.Invalid, "%s", sentence).WithHint("%s", strings.Join(hints, "\n"))
}

func (f MissingFile) whose() string {
	if f.Proc == "" {
		return "the build"
	}
	return string(f.Proc)
}
