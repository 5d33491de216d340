package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"

	"lain.internal/lain/lain"
)

// LogQuery says which lines are wanted.
type LogQuery struct {
	App      lain.AppName
	Proc     lain.ProcName // "": all procs
	Instance int           // 0: all of them
	Follow   bool          // go on until the context ends
	Tail     int           // so many of the newest lines of each instance; 0: all
	Since    time.Time     // zero: from the first
}

// Logs calls fn for each line that instances of an application wrote, wherever they run. Without Follow
// the lines come sorted by time, at most Tail of them in all, and Logs returns after the last; with it, as
// they arrive, also of procs that are new, until ctx ends or the last such service is removed (nil then). fn
// is never called twice at once; an error of it ends Logs and is returned. Without Follow, an application
// without such services has no lines.
func (e *Engine) Logs(ctx context.Context, q LogQuery, fn func(LogLine) error) error {
	services, err := e.loggedServices(ctx, q)
	if err != nil {
		return err
	}
	if q.Follow {
		return e.follow(ctx, services, q, fn)
	}
	var lines []LogLine
	for _, s := range services {
		err := e.serviceLogs(ctx, s, q, func(l LogLine) error { lines = append(lines, l); return nil })
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(lines, func(a, b LogLine) int { return a.At.Compare(b.At) })
	if q.Tail > 0 {
		lines = lines[max(0, len(lines)-q.Tail):]
	}
	for _, l := range lines {
		if err := fn(l); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) loggedServices(ctx context.Context, q LogQuery) ([]swarm.Service, error) {
	services, err := e.Services(ctx, q.App)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(services, func(s swarm.Service) bool {
		return q.Proc != "" && s.Spec.Labels[ProcLabel] != string(q.Proc)
	}), nil
}

// follow follows these services, and those that come later from their first line.
func (e *Engine) follow(ctx context.Context, services []swarm.Service, q LogQuery, fn func(LogLine) error) error {
	var mu sync.Mutex
	g, inner := errgroup.WithContext(ctx)
	begin := func(s swarm.Service, q LogQuery) {
		g.Go(func() error {
			return e.serviceLogs(inner, s, q, func(l LogLine) error {
				mu.Lock()
				defer mu.Unlock()
				return fn(l)
			})
		})
	}
	for _, s := range services {
		begin(s, q)
	}
	g.Go(func() error { return e.newcomers(inner, services, q, begin) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// lookEvery is how soon a new service is noticed.
const lookEvery = time.Second

// newcomers calls begin for each service that is not among those known, until there was one and none is left.
func (e *Engine) newcomers(ctx context.Context, known []swarm.Service, q LogQuery, begin func(swarm.Service, LogQuery)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	whole := q
	whole.Tail, whole.Since = 0, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := e.loggedServices(ctx, q)
		if err != nil {
			return err
		}
		if len(known) > 0 && len(now) == 0 {
			return nil
		}
		for _, s := range now {
			if !slices.ContainsFunc(known, func(k swarm.Service) bool { return k.ID == s.ID }) {
				begin(s, whole)
			}
		}
		known = now
	}
}

// serviceLogs reads one service's lines. A service that is removed meanwhile just ends.
func (e *Engine) serviceLogs(ctx context.Context, s swarm.Service, q LogQuery, fn func(LogLine) error) error {
	body, err := e.api.ServiceLogs(ctx, s.ID, q.options())
	if err = explain("logs of service "+s.Spec.Name, err); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	defer body.Close()
	slots := taskSlots{engine: e, labels: s.Spec.Labels}
	writer := func(stderr bool) *lineWriter {
		return &lineWriter{line: func(raw string) error {
			l := parseLine(raw)
			l.Proc, l.Stderr, l.Instance = s.Spec.Labels[ProcLabel], stderr, slots.of(ctx, l.Task)
			if q.Instance != 0 && q.Instance != l.Instance {
				return nil
			}
			return fn(l)
		}}
	}
	return demultiplex(body, writer(false), writer(true))
}

func demultiplex(body io.Reader, out, errs *lineWriter) error {
	_, err := stdcopy.StdCopy(out, errs, body)
	if err = errors.Join(err, out.flush(), errs.flush()); err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}

func (q LogQuery) options() container.LogsOptions {
	o := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Details: true, Follow: q.Follow, Tail: "all"}
	if q.Tail > 0 {
		o.Tail = strconv.Itoa(q.Tail)
	}
	if !q.Since.IsZero() {
		o.Since = q.Since.Format(time.RFC3339Nano)
	}
	return o
}

// TaskTail is the last n lines of one task, wherever it ran; it goes through the swarm's manager.
func (e *Engine) TaskTail(ctx context.Context, task string, n int) ([]string, error) {
	body, err := e.api.TaskLogs(ctx, task, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n)})
	if err != nil {
		return nil, explain("logs of task "+task, err)
	}
	defer body.Close()
	var lines []string
	keep := func(line string) error { lines = append(lines, line); return nil }
	if err := demultiplex(body, &lineWriter{line: keep}, &lineWriter{line: keep}); err != nil {
		return nil, err
	}
	return lines[max(0, len(lines)-n):], nil
}

// taskSlots remembers which instance a task is, and asks anew for one it does not know.
type taskSlots struct {
	engine *Engine
	labels map[string]string // of the service
	known  map[string]int
}

func (t *taskSlots) of(ctx context.Context, task string) int {
	if n, ok := t.known[task]; ok || task == "" {
		return n
	}
	if t.known == nil {
		t.known = map[string]int{}
	}
	tasks, err := t.engine.Tasks(ctx, lain.AppName(t.labels[AppLabel]), lain.ProcName(t.labels[ProcLabel]))
	if err == nil {
		t.known[task] = 0 // unless it is among them; asked once only
	}
	for _, x := range tasks {
		t.known[x.ID] = x.Slot
	}
	return t.known[task]
}
