// Package report is what a run tells people: typed events, and their terminal form.
//
// A stage emits events; a run's log keeps them, one JSON object a line; whoever shows a run draws them at
// the edge with Draw. No event carries a secret and none is trusted to be free of control bytes: Draw
// cleans what it shows.
package report

import "time"

// Kind says how an event is drawn.
type Kind string

const (
	Stage   Kind = "stage"   // "-----> Building"
	Detail  Kind = "detail"  // seven spaces, our own words
	Output  Kind = "output"  // seven spaces, a line of the person's program
	Warning Kind = "warning" // " !     " on a run that goes on
	Trouble Kind = "trouble" // " !     " the reason a run ends
	Result  Kind = "result"  // "=====> " what came out
)

// Event is one line of a run.
type Event struct {
	At    time.Time `json:"t"`
	Kind  Kind      `json:"k"`
	Stage string    `json:"s,omitempty"` // the stage it belongs to
	Text  string    `json:"m"`           // without a newline at its end
}

// Reporter takes events. It must not block on the person who watches, and is safe for concurrent use.
type Reporter interface {
	Report(Event)
}

// Func is a Reporter made of a function.
type Func func(Event)

// Report calls f.
func (f Func) Report(e Event) { f(e) }

// Discard drops every event.
var Discard Reporter = Func(func(Event) {})
