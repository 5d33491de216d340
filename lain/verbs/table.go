package verbs

import (
	"slices"
	"strings"

	"lain.internal/lain/lain"
)

// Verb is one verb of the server.
type Verb struct {
	Name string // "config set"
	App  bool   // its first argument is an application that is there
	Asks bool   // it asks for a value at a terminal, when one key is named and nothing else
	Term bool   // it is at the person's terminal, where there is one
}

// Table is every verb of the server, in its order.
var Table = []Verb{
	{Name: "help"},
	{Name: "setup"},
	{Name: "whoami"},
	{Name: "apps"},
	{Name: "apps create"}, // its application is a new one, and so never that of a remote
	{Name: "info", App: true},
	{Name: "ps", App: true},
	{Name: "why", App: true},
	{Name: "releases", App: true},
	{Name: "runs", App: true},
	{Name: "runs attach", App: true},
	{Name: "runs cancel", App: true},
	{Name: "logs", App: true},
	{Name: "keys add"},
	{Name: "keys list"},
	{Name: "keys rm"},
	{Name: "destroy", App: true},
	{Name: "rollback", App: true},
	{Name: "redeploy", App: true},
	{Name: "restart", App: true},
	{Name: "scale", App: true},
	{Name: "ban", App: true},
	{Name: "unban", App: true},
	{Name: "diff", App: true},
	{Name: "secret put", App: true},
	{Name: "secret list", App: true},
	{Name: "secret get", App: true},
	{Name: "secret rm", App: true},
	{Name: "secret history", App: true},
	{Name: "secret rollback", App: true},
	{Name: "apply", App: true},
	{Name: "config set", App: true, Asks: true},
	{Name: "config list", App: true},
	{Name: "config get", App: true},
	{Name: "config unset", App: true},
	{Name: "config history", App: true},
	{Name: "config rollback", App: true},
	{Name: "activity"},
	{Name: "open", App: true},
	{Name: "domains", App: true},
	{Name: "bases"},
	{Name: "capacity"},
	{Name: "events", App: true},
	{Name: "run", App: true, Term: true},
	{Name: "enter", App: true, Term: true},
	{Name: "cp", App: true},
}

// Find splits words into a verb and what follows it; the longest name wins, as on the server.
func Find(words []string) (v Verb, rest []string, ok bool) {
	for _, known := range Table {
		name := strings.Fields(known.Name)
		if len(name) <= len(words) && slices.Equal(name, words[:len(name)]) && len(known.Name) > len(v.Name) {
			v, rest, ok = known, words[len(name):], true
		}
	}
	return v, rest, ok
}

// Fill puts the application where the verb wants it. Unless the person named it apart from the words (named), it may
// stand there already: hints of the server have it so.
func Fill(words []string, app lain.AppName, named bool) []string {
	v, rest, _ := Find(words)
	if !v.App || app == "" || !named && len(rest) > 0 && rest[0] == string(app) {
		return words
	}
	at := len(words) - len(rest)
	return slices.Insert(slices.Clone(words), at, string(app))
}

// Interactive says whether the words, with the application in them, are for a terminal, if the person has one: the server
// asks there for a value, or gives one of a container's.
func Interactive(words []string) bool {
	v, rest, _ := Find(words)
	rest = slices.DeleteFunc(slices.Clone(rest), func(w string) bool { return w == "--stage" })
	asks := v.Asks && len(rest) == 2 && !slices.ContainsFunc(rest, func(w string) bool { return strings.HasPrefix(w, "-") })
	return asks || v.Term
}

// Next are the words that may follow in the name of a verb, each once.
func Next(words []string) []string {
	var next []string
	for _, v := range Table {
		name := strings.Fields(v.Name)
		if len(name) > len(words) && slices.Equal(name[:len(words)], words) && !slices.Contains(next, name[len(words)]) {
			next = append(next, name[len(words)])
		}
	}
	return next
}
