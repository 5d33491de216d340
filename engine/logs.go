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
// they arrive, also of instances that are new, until ctx ends or the last such proc is removed (nil then). fn
// is never called twice at once; an error of it ends Logs and is returned. Without Follow, an application
// without such procs has no lines. Lines of instances on this machine are all there, in their order; those of
// other machines come through the swarm's managers, which may drop lines of busy writers.
func (e *Engine) Logs(ctx context.Context, q LogQuery, fn func(LogLine) error) error {
	sources, err := e.sources(ctx, q)
	if err != nil {
		return err
	}
	if q.Follow {
		return e.follow(ctx, sources, q, fn)
	}
	var lines []LogLine
	for _, s := range sources {
		err := e.read(ctx, s, q, func(l LogLine) error { lines = append(lines, l); return nil })
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

// follow follows these sources, and those that come later from their first line.
func (e *Engine) follow(ctx context.Context, sources []source, q LogQuery, fn func(LogLine) error) error {
	var mu sync.Mutex
	one := func(l LogLine) error {
		mu.Lock()
		defer mu.Unlock()
		return fn(l)
	}
	g, inner := errgroup.WithContext(ctx)
	begin := func(s source, q LogQuery) {
		g.Go(func() error { return e.read(inner, s, q, one) })
	}
	for _, s := range sources {
		begin(s, q)
	}
	g.Go(func() error { return e.newcomers(inner, sources, q, begin) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// lookEvery is how soon a new instance is noticed.
const lookEvery = time.Second

// newcomers calls begin for each source that is not among those known, until there was a proc and none is left.
func (e *Engine) newcomers(ctx context.Context, known []source, q LogQuery, begin func(source, LogQuery)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	whole := q
	whole.Tail, whole.Since = 0, time.Time{}
	for had := len(known) > 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := e.sources(ctx, q)
		if err != nil {
			return err
		}
		for _, s := range now {
			if !slices.ContainsFunc(known, s.same) {
				begin(s, whole)
			}
		}
		known = now
		procs, err := e.loggedServices(ctx, q)
		if err != nil || had && len(procs) == 0 {
			return err
		}
		had = len(procs) > 0
	}
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

// read reads one source's lines. One that is gone has none.
func (e *Engine) read(ctx context.Context, s source, q LogQuery, fn func(LogLine) error) error {
	body, err := e.open(ctx, s, q.options())
	if err = explain("logs of instance "+s.task, err); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	defer body.Close()
	writer := func(stderr bool) *entryWriter {
		return &entryWriter{line: func(l LogLine) error {
			l.Proc, l.Instance, l.Task, l.Stderr = s.proc, s.instance, s.task, stderr
			return fn(l)
		}}
	}
	return demultiplex(body, writer(false), writer(true))
}

// logWriter takes what a program wrote to one of its streams, and by flush that this was all.
type logWriter interface {
	io.Writer
	flush() error
}

func demultiplex(body io.Reader, out, errs logWriter) error {
	_, err := stdcopy.StdCopy(out, errs, body)
	if err = errors.Join(err, out.flush(), errs.flush()); err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}

func (q LogQuery) options() container.LogsOptions {
	o := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: q.Follow, Tail: "all"}
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
