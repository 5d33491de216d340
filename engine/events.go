package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// EventKind is what an Event is about.
type EventKind string

// The kinds of events that are told of.
const (
	ExecEnded     EventKind = "exec ended" // a command beside the container's own, a health probe for instance
	ContainerDied EventKind = "container died"
)

// Event is something that happened to a container of ours on this engine's own machine.
type Event struct {
	Kind      EventKind
	Container string            // its id
	Labels    map[string]string // of the container, and some words of the engine's
	Exec      string            // id of the command that ended
	ExitCode  int               // of the command or the container
}

// Events calls fn for each event, one at a time and in their order, until ctx ends or the engine breaks off: it
// never returns nil. It begins with those since the time given that the engine still knows, which are 256 at most
// of all kinds. opened is called first, when none of those to come can be missed any more; an error of it ends
// Events and is returned. An fn that is slow for seconds loses events.
//
// That a command begins is not told, although only then the engine says which: with health probes all the time, it
// would double what has to be read. See ExecCommand.
func (e *Engine) Events(ctx context.Context, since time.Time, opened func() error, fn func(Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := e.api.Events(ctx, events.ListOptions{Since: seconds(since), Filters: e.eventFilter()})
	if err := e.opened(errs, opened); err != nil {
		return err
	}
	for {
		select {
		case m := <-messages:
			if event, ok := eventOf(m); ok {
				fn(event)
			}
		case err := <-errs:
			return explain("follow the events", err)
		}
	}
}

// opened calls its function unless the stream could not be opened.
func (e *Engine) opened(errs <-chan error, opened func() error) error {
	select {
	case err := <-errs:
		return explain("follow the events", err)
	default:
		return opened()
	}
}

func (e *Engine) eventFilter() filters.Args {
	f := e.procFilter("", "")
	f.Add("type", string(events.ContainerEventType))
	f.Add("event", string(events.ActionExecDie))
	f.Add("event", string(events.ActionDie))
	return f
}

// seconds is a time as the engine takes it; "" for the zero time, which asks for nothing of the past.
func seconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// eventOf reads a message of the engine's; false for one that is none of the above, or makes no sense.
func eventOf(m events.Message) (Event, bool) {
	e := Event{Container: m.Actor.ID, Labels: m.Actor.Attributes}
	switch m.Action {
	case events.ActionExecDie:
		e.Kind, e.Exec = ExecEnded, m.Actor.Attributes["execID"]
	case events.ActionDie:
		e.Kind = ContainerDied
	}
	var err error
	e.ExitCode, err = strconv.Atoi(m.Actor.Attributes["exitCode"])
	return e, err == nil && e.Kind != "" && e.Container != ""
}

// ExecCommand is the command of an exec by id, also for some minutes after its end. ErrNotFound when the engine does
// not know it (any more).
func (e *Engine) ExecCommand(ctx context.Context, id string) ([]string, error) {
	var exec struct {
		ProcessConfig struct {
			Entrypoint string   `json:"entrypoint"`
			Arguments  []string `json:"arguments"`
		}
	}
	if err := e.raw(ctx, "/exec/"+url.PathEscape(id)+"/json", &exec); err != nil {
		return nil, explain("inspect exec "+id, err)
	}
	return append([]string{exec.ProcessConfig.Entrypoint}, exec.ProcessConfig.Arguments...), nil
}

// raw gets what the client's own types leave out.
func (e *Engine) raw(ctx context.Context, path string, answer any) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return e.api.Dialer()(ctx) }
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/v"+e.api.ClientVersion()+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return json.NewDecoder(resp.Body).Decode(answer)
	case http.StatusNotFound:
		return ErrNotFound
	}
	return fmt.Errorf("the engine answers %s", resp.Status)
}

// Sick are the labels of those containers of ours on this machine that were healthy once and whose last health
// check failed, by the container's id. It asks for each container that has a health check.
func (e *Engine) Sick(ctx context.Context) (map[string]map[string]string, error) {
	f := e.procFilter("", "")
	f.Add("health", container.Healthy)
	f.Add("health", container.Unhealthy)
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: f})
	if err != nil {
		return nil, explain("list containers", err)
	}
	sick := map[string]map[string]string{}
	for _, c := range list {
		found, err := e.Container(ctx, c.ID)
		switch {
		case errors.Is(err, ErrNotFound): // it is gone meanwhile
		case err != nil:
			return nil, err
		case found.FailedProbes > 0:
			sick[c.ID] = c.Labels
		}
	}
	return sick, nil
}
