package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"
)

// Container is what can be learned of a container on this engine's own machine, also after its end.
type Container struct {
	ExitCode     int
	Running      bool
	OOMKilled    bool
	LastProbe    string // what the last health check printed; "" when none ran
	FailedProbes int    // health checks that failed since the last good one
}

// Container inspects a container of ours by id. ErrNotFound when it is not on this machine (any more),
// ErrForeign when it lacks our label.
func (e *Engine) Container(ctx context.Context, id string) (Container, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return Container{}, explain("inspect container "+id, err)
	}
	if c.Config == nil || !e.ours(c.Config.Labels) {
		return Container{}, fmt.Errorf("container %s: %w", id, ErrForeign)
	}
	out := Container{}
	if s := c.State; s != nil {
		out.ExitCode, out.Running, out.OOMKilled = s.ExitCode, s.Running, s.OOMKilled
		if s.Health != nil {
			out.FailedProbes = s.Health.FailingStreak
		}
		if s.Health != nil && len(s.Health.Log) > 0 {
			out.LastProbe = strings.TrimSpace(s.Health.Log[len(s.Health.Log)-1].Output)
		}
	}
	return out, nil
}

// PublishedPorts are the host ports that containers of ours publish on this machine now, healthy or not.
func (e *Engine) PublishedPorts(ctx context.Context) ([]int, error) {
	list, err := e.api.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", ClusterLabel+"="+string(e.cluster)))})
	if err != nil {
		return nil, explain("list containers", err)
	}
	var ports []int
	for _, c := range list {
		for _, p := range c.Ports {
			if p.PublicPort != 0 {
				ports = append(ports, int(p.PublicPort))
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// ContainerTail is the last n lines that a container on this machine wrote, both streams in order.
func (e *Engine) ContainerTail(ctx context.Context, id string, n int) ([]string, error) {
	body, err := e.api.ContainerLogs(ctx, id, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n),
	})
	if err != nil {
		return nil, explain("logs of container "+id, err)
	}
	defer body.Close()
	var out bytes.Buffer // lines arrive whole and in order: both streams into one
	if _, err := stdcopy.StdCopy(&out, &out, body); err != nil {
		return nil, fmt.Errorf("logs of container %s: %w", id, err)
	}
	return lastLines(out.String(), n), nil
}

func lastLines(text string, n int) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
