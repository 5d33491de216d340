package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"lain.internal/lain/access"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// entry is a line of the trail that verbs leave which change something or show a value. Key: audit/<ulid>.
type entry struct {
	At      time.Time    `json:"at"`
	Person  lain.Person  `json:"person"`
	Key     string       `json:"key,omitempty"`  // fingerprint
	From    string       `json:"from,omitempty"` // address
	Verb    string       `json:"verb"`
	App     lain.AppName `json:"app,omitempty"`
	What    string       `json:"what,omitempty"` // never a value
	Outcome string       `json:"outcome"`        // one of the words below, or that of a fault
	Reason  string       `json:"reason,omitempty"`
	Ended   time.Time    `json:"ended,omitzero"`
}

// Outcomes of a verb beside the kinds of faults.
const (
	begun = "begun" // it has not ended, or the server died on the way
	done  = "done"
	shown = "shown" // a value was
)

// endingTime bounds the write of a line's outcome, which is made also for people who have left.
const endingTime = 5 * time.Second

// looking are verbs with a right of more than reading that change nothing, or leave their line by note.
var looking = []string{"config list", "config get", "config history", "secret list", "secret get", "secret history", "keys list"}

// changes tells of a verb, as it was said, whether it leaves a line in the trail.
func (c *call) changes(v verb) bool {
	dry, _ := c.flags.GetBool("dry-run")
	sizes := v.name == "scale" && len(c.args) == 1
	return v.action != access.Read && !dry && !sizes && !slices.Contains(looking, v.name)
}

// kept carries the verb out and leaves a line in the trail if it changes something. The line is there before the
// verb does anything, so that a server that dies on the way leaves it too; what cannot be recorded is not done.
func (c *call) kept(v verb) error {
	if !c.changes(v) {
		return c.allowed(v)
	}
	key := ulid.Make().String()
	e := c.line(v.name, said(v, c.args, c.app))
	if _, err := c.API.trail.Create(c, key, e); err != nil {
		return err
	}
	err := c.allowed(v)
	c.close(key, err)
	return err
}

// allowed carries the verb out if the person may.
func (c *call) allowed(v verb) error {
	if err := c.Rights.Can(c, c.session.Person, v.action, c.app); err != nil {
		return err
	}
	return v.run(c)
}

// line is an entry of this moment, by this person.
func (c *call) line(verb, what string) entry {
	e := entry{At: c.Now().UTC(), Person: c.session.Person, Key: c.session.Fingerprint, Verb: verb, App: c.app, What: what, Outcome: begun}
	if c.session.Remote != nil {
		e.From = c.session.Remote.String()
	}
	return e
}

// said is what stood behind the verb, but for the application, in one line. Where values are about, only the names
// before a "=" are told.
func said(v verb, args []string, app lain.AppName) string {
	if app != "" {
		args = args[1:]
	}
	if v.told > 0 {
		args = args[:min(v.told, len(args))]
	}
	words := slices.Clone(args)
	for i, w := range words {
		if name, _, _ := strings.Cut(w, "="); !strings.HasPrefix(v.name, "scale") {
			words[i] = name
		}
	}
	return report.Line(strings.Join(words, " "), 200)
}

// close writes how a verb ended. The words that were wrong are not repeated: nobody knows what they were.
func (c *call) close(key string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c), endingTime)
	defer cancel()
	_, lost := c.API.trail.Update(ctx, key, func(e *entry) error {
		e.Outcome, e.Ended = done, c.Now().UTC()
		if err == nil {
			return nil
		}
		f := fault.Of(err)
		if e.Outcome = string(f.Kind); f.Kind != fault.Invalid {
			e.Reason = report.Line(f.Error(), 300)
		}
		return nil
	})
	if lost != nil {
		c.Logger.Error("how a verb ended is not recorded", "person", c.session.Person, "error", lost)
	}
}

// note records what is about to be shown; what cannot be recorded is not shown.
func (c *call) note(verb, what string) error {
	e := c.line(verb, what)
	e.Outcome = shown
	_, err := c.API.trail.Create(c, ulid.Make().String(), e)
	return err
}
