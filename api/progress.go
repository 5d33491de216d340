package api

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"lain.internal/lain/lain/report"
)

// mostUnread is how many events wait for a person who reads slowly.
const mostUnread = 1000

// progress shows a person on standard error what is made for them: all of it at a terminal, elsewhere headings and
// warnings. It never blocks who reports: what is not read in time is left out, and that is said.
type progress struct {
	to     io.Writer
	all    bool
	events chan report.Event
	missed atomic.Int64
	shown  chan struct{}
}

// progress begins to show; end must be called.
func (c *call) progress() *progress {
	p := &progress{to: c.session.Stderr, all: c.session.Terminal != nil, events: make(chan report.Event, mostUnread), shown: make(chan struct{})}
	go p.show()
	return p
}

// Report takes an event, until end is called.
func (p *progress) Report(e report.Event) {
	if !p.all && e.Kind != report.Stage && e.Kind != report.Warning {
		return
	}
	select {
	case p.events <- e:
	default:
		p.missed.Add(1)
	}
}

// end returns when all is shown, or ctx ends. What is being written to a person who does not read ends with the session.
func (p *progress) end(ctx context.Context) {
	close(p.events)
	select {
	case <-p.shown:
	case <-ctx.Done():
	}
}

func (p *progress) show() {
	defer close(p.shown)
	for e := range p.events {
		_, _ = io.WriteString(p.to, report.Draw(e))
	}
	if n := p.missed.Load(); n > 0 {
		_, _ = io.WriteString(p.to, report.Draw(report.Event{Kind: report.Warning, Text: fmt.Sprintf("%d lines are left out here: they came faster than they were read", n)}))
	}
}
