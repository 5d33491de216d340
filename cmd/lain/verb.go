package main

import (
	"slices"

	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/lain/verbs"
)

// verb gives the server a verb, with the application filled in where it wants one.
func (c *client) verb(words []string, w where) error {
	v, rest, known := verbs.Find(words)
	if w.app != "" && !v.App {
		return noApp(words, known)
	}
	flags := rest
	if i := slices.Index(rest, "--"); i >= 0 {
		flags = rest[:i]
	}
	help := slices.ContainsFunc(flags, func(word string) bool { return word == "--help" || word == "-h" })
	target, err := c.find(w, !v.App || help)
	if err != nil {
		return err
	}
	words = verbs.Fill(words, target.App, w.app != "")
	if v.Name == "cp" {
		return c.cp(target.Host, words)
	}
	return c.ssh(target.Host, verbs.Interactive(words) && terminal(c.in) && terminal(c.out), words)
}

// noApp refuses -a, which would be lost.
func noApp(words []string, known bool) error {
	word := report.Line(words[0], 40)
	if known {
		return fault.New(fault.Invalid, "%s takes no application by -a", word).WithHint("See: lain help %s", word)
	}
	return fault.New(fault.Invalid, "this client does not know the verb %s, and so not where its application goes", word).
		WithHint("Leave -a out, and write the words as the server takes them: lain help")
}
