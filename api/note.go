package api

import (
	"time"

	"github.com/oklog/ulid/v2"

	"lain.internal/lain/lain"
)

// entry is a line of the trail that verbs leave which show a value. Key: audit/<ulid>.
type entry struct {
	At     time.Time    `json:"at"`
	Person lain.Person  `json:"person"`
	Key    string       `json:"key"` // fingerprint
	From   string       `json:"from"`
	Verb   string       `json:"verb"`
	App    lain.AppName `json:"app"`
	What   string       `json:"what"` // never a value
}

// note records what is about to be shown; what cannot be recorded is not shown.
func (c *call) note(verb, what string) error {
	e := entry{At: c.Now().UTC(), Person: c.session.Person, Key: c.session.Fingerprint, Verb: verb, App: c.app, What: what}
	if c.session.Remote != nil {
		e.From = c.session.Remote.String()
	}
	_, err := c.API.trail.Create(c, ulid.Make().String(), e)
	return err
}
