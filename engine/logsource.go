package engine

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
)

// taskNameLabel is how Swarm says on a container which instance of its service it is: <service>.<slot>.<task>.
const taskNameLabel = "com.docker.swarm.task.name"

// source is one instance whose lines can be read: a container on this machine, from its own file, or a task on another one,
// through the swarm's managers. Those drop lines of busy writers (of five with 200 lines a second each, all of four), so they
// are not asked where it can be helped.
type source struct {
	task      string // its id
	container string // its id; "" on another machine
	proc      string
	instance  int // 1..N; 0 when it is not known
}

func (s source) same(other source) bool { return s.task == other.task }

// sources lists the instances that have begun to write, also those that ended while the engine keeps what they wrote.
func (e *Engine) sources(ctx context.Context, q LogQuery) ([]source, error) {
	here, err := e.containerSources(ctx, q)
	if err != nil {
		return nil, err
	}
	tasks, err := e.Tasks(ctx, q.App, q.Proc)
	if err != nil {
		return nil, err
	}
	node, err := e.NodeID(ctx)
	if err != nil {
		return nil, err
	}
	all := append(here, elsewhere(tasks, node)...)
	return slices.DeleteFunc(all, func(s source) bool { return q.Instance != 0 && q.Instance != s.instance }), nil
}

func (e *Engine) containerSources(ctx context.Context, q LogQuery) ([]source, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.procFilter(q.App, q.Proc)})
	if err != nil {
		return nil, explain("list containers", err)
	}
	var all []source
	for _, c := range list {
		if c.State != container.StateCreated { // to follow one that is not started ends at once
			all = append(all, source{task: c.Labels[taskLabel], container: c.ID, proc: c.Labels[ProcLabel], instance: slotOf(c.Labels)})
		}
	}
	return all, nil
}

// slotOf is the instance that a container's labels name, 0 when they name none.
func slotOf(labels map[string]string) int {
	name, _ := strings.CutSuffix(labels[taskNameLabel], "."+labels[taskLabel])
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	if err != nil {
		return 0
	}
	return n
}

// elsewhere are those of tasks that run on other machines than this node's.
func elsewhere(tasks []swarm.Task, node string) []source {
	var all []source
	for _, t := range tasks {
		if spec, c := t.Spec.ContainerSpec, t.Status.ContainerStatus; t.NodeID != node && spec != nil && c != nil && c.ContainerID != "" {
			all = append(all, source{task: t.ID, proc: spec.Labels[ProcLabel], instance: t.Slot})
		}
	}
	return all
}

// open opens the log of a source; the caller closes it.
func (e *Engine) open(ctx context.Context, s source, o container.LogsOptions) (io.ReadCloser, error) {
	if s.container == "" {
		return e.api.TaskLogs(ctx, s.task, o)
	}
	return e.api.ContainerLogs(ctx, s.container, o)
}
