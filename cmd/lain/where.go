package main

import (
	"cmp"
	"strings"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/remote"
)

// where is what a person said about the server and the application.
type where struct {
	remote string // the name of a git remote
	host   string // instead of a remote
	app    string // instead of the remote's
}

// split takes our own flags out of what was typed, wherever they stand before "--". The rest are the words for the
// server, in their order; of a flag that stands twice the last counts.
func split(args []string) ([]string, where, error) {
	var w where
	var words []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(words, args[i:]...), w, nil
		}
		field, value, joined := w.field(args[i])
		if field == nil {
			words = append(words, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return nil, w, fault.New(fault.Invalid, "%s wants a value", args[i-1]).WithHint("See: lain --help")
			}
			value = args[i]
		}
		*field = value
	}
	return words, w, nil
}

// field is what a word sets, with its value where that is in the same word; nil for a word that is none of our flags.
func (w *where) field(arg string) (field *string, value string, joined bool) {
	name, value, joined := strings.Cut(arg, "=")
	switch {
	case name == "--remote" || arg == "-r":
		return &w.remote, value, joined
	case name == "--app" || arg == "-a":
		return &w.app, value, joined
	case name == "--host":
		return &w.host, value, joined
	case strings.HasPrefix(arg, "-r"):
		return &w.remote, strings.TrimPrefix(arg[2:], "="), true
	case strings.HasPrefix(arg, "-a"):
		return &w.app, strings.TrimPrefix(arg[2:], "="), true
	}
	return nil, "", false
}

// find is where to go. With anyApp no application is needed.
func (c *client) find(w where, anyApp bool) (remote.Target, error) {
	want := remote.Want{Remote: w.remote, Host: w.host, App: w.app, Any: anyApp}
	if w.host != "" {
		if w.remote != "" {
			return remote.Target{}, fault.New(fault.Invalid, "--host and --remote say two things: leave one of them out")
		}
		return remote.Choose(nil, want)
	}
	want.Remote = cmp.Or(w.remote, c.getenv("LAIN_REMOTE"))
	all, err := remotes()
	if err != nil {
		return remote.Target{}, err
	}
	return remote.Choose(all, want)
}
