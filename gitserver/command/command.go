// Package command reads what an SSH client asks to be run: one of git's two services for one
// application, or a verb with arguments.
//
// The string is foreign. It is never given to a shell, nothing in it is expanded, and what does not have
// exactly the expected form is refused with a sentence for the person at the other end. Which verbs there
// are is not known here.
package command

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Bounds on what a client may send.
const (
	MaxBytes = 64 << 10
	MaxArgs  = 1000
)

// Service is what a command wants of the server.
type Service int

const (
	Verb        Service = iota // a command of ours: Args says which
	UploadPack                 // git fetch, clone, ls-remote
	ReceivePack                // git push
)

// Command is a parsed request. App is set for git's services, Args for a verb; a verb without arguments
// is what a client sends that asks for a shell.
type Command struct {
	Service Service
	App     lain.AppName
	Args    []string
}

// refusals are programs that git's own clients may ask for, with what to tell them.
var refusals = map[string]string{
	"git-lfs-authenticate": "Git LFS is not supported here: commit the files themselves, or fetch them in the build",
	"git-lfs-transfer":     "Git LFS is not supported here: commit the files themselves, or fetch them in the build",
	"git-upload-archive":   "git archive --remote is not supported here: clone the repository and run git archive in it",
	"git-shell":            "there is no shell here: use git push, git fetch, or a verb (help lists them)",
	"scp":                  "there are no files to copy here: use git push, git fetch, or a verb (help lists them)",
	"rsync":                "there are no files to copy here: use git push, git fetch, or a verb (help lists them)",
}

// Parse reads the command of an exec request. Its error is a *fault.Fault.
func Parse(raw string) (Command, error) {
	if err := checkBytes(raw); err != nil {
		return Command{}, err
	}
	if service, rest, ok := cutService(raw); ok {
		app, err := parseRepository(rest)
		return Command{Service: service, App: app}, err
	}
	args, err := Split(raw)
	if err != nil {
		return Command{}, err
	}
	if err := checkRefused(args); err != nil {
		return Command{}, err
	}
	return Command{Service: Verb, Args: args}, nil
}

func checkBytes(raw string) error {
	if len(raw) > MaxBytes {
		return fault.New(fault.Invalid, "the command has %d bytes, at most %d are read", len(raw), MaxBytes)
	}
	if !utf8.ValidString(raw) || strings.ContainsFunc(raw, unicode.IsControl) {
		return fault.New(fault.Invalid, "the command holds control characters or is not UTF-8: send values on standard input")
	}
	return nil
}

// cutService splits "git-receive-pack 'hello'" after the service. Git's documentation allows the form
// "git receive-pack" as well.
func cutService(raw string) (Service, string, bool) {
	for prefix, service := range map[string]Service{
		"git-receive-pack": ReceivePack, "git receive-pack": ReceivePack,
		"git-upload-pack": UploadPack, "git upload-pack": UploadPack,
	} {
		rest, ok := strings.CutPrefix(raw, prefix)
		if ok && (rest == "" || rest[0] == ' ') {
			return service, strings.TrimPrefix(rest, " "), true
		}
	}
	return Verb, "", false
}

// parseRepository takes the one argument of a git service: an application's name, in one pair of single
// or double quotes or in none, with one leading "/" and a trailing ".git" allowed.
func parseRepository(arg string) (lain.AppName, error) {
	name := arg
	for _, quote := range []string{"'", `"`} {
		if len(arg) >= 2 && strings.HasPrefix(arg, quote) && strings.HasSuffix(arg, quote) {
			name = arg[1 : len(arg)-1]
			break
		}
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "/"), ".git")
	app, err := lain.ParseAppName(name)
	if err != nil {
		return "", fault.Hide(fault.Invalid, err, "%s", err).
			WithHint("The remote is HOST:APP, for instance ssh://lain@HOST:2222/hello")
	}
	return app, nil
}

func checkRefused(args []string) error {
	if len(args) == 0 {
		return nil
	}
	name := args[0]
	if name == "git" && len(args) > 1 {
		name = "git-" + args[1]
	}
	if sentence, ok := refusals[name]; ok {
		return fault.New(fault.Invalid, "%s", sentence)
	}
	return nil
}
