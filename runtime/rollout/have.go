package rollout

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
)

// have is what the engine has of one proc.
type have struct {
	service *swarm.Service // nil: none
	tasks   []swarm.Task   // also those of a service that was just removed
	nodes   map[string]engine.Node
	gone    []swarm.Task // failures of this attempt that the engine no longer lists
	unwell  containers   // whose last probe failed
}

// attempt is the one that the service was last changed for; 0 without a service.
func (h have) attempt() int {
	if h.service == nil {
		return 0
	}
	n, _ := strconv.Atoi(h.service.Spec.Labels[AttemptLabel])
	return n
}

// began is when the engine was given this attempt; zero when nobody knows.
func (h have) began() time.Time {
	if h.service == nil {
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339Nano, h.service.Spec.Labels[BeganLabel])
	return t
}

func (h have) replicas() int {
	if h.service == nil || h.service.Spec.Mode.Replicated == nil || h.service.Spec.Mode.Replicated.Replicas == nil {
		return -1
	}
	return int(*h.service.Spec.Mode.Replicated.Replicas)
}

// current reports whether a task was made of the specification the service has now.
func (h have) current(t swarm.Task) bool {
	return h.service != nil && specOf(t.Spec) != "" && specOf(t.Spec) == specOf(h.service.Spec.TaskTemplate)
}

func specOf(t swarm.TaskSpec) string {
	if t.ContainerSpec == nil {
		return ""
	}
	return t.ContainerSpec.Labels[SpecLabel]
}

// wanted reports whether the engine wants the task to run.
func wanted(t swarm.Task) bool {
	return slices.Contains([]swarm.TaskState{swarm.TaskStateRunning, swarm.TaskStateReady, swarm.TaskStateNew,
		swarm.TaskStateAllocated, swarm.TaskStatePending, swarm.TaskStateAssigned, swarm.TaskStateAccepted,
		swarm.TaskStatePreparing, swarm.TaskStateStarting}, t.DesiredState)
}

// broken reports whether the task ended without having been told to.
func broken(t swarm.Task) bool {
	return slices.Contains([]swarm.TaskState{swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateComplete}, t.Status.State)
}

func running(t swarm.Task) bool { return t.Status.State == swarm.TaskStateRunning }

// address is where the router reaches the proc's port in this task, or "". The engine lists each port
// once for each address family.
func (h have) address(t swarm.Task) string {
	for _, p := range t.Status.PortStatus.Ports {
		if p.PublishMode == swarm.PortConfigPublishModeHost && p.PublishedPort != 0 {
			return net.JoinHostPort(h.host(t.NodeID), fmt.Sprint(p.PublishedPort))
		}
	}
	return ""
}

// host is a node's address. A swarm on loopback has 127.0.0.1, where published ports answer whether the
// engine's userland proxy is on or off (both tried). A manager that does not know its own has 0.0.0.0.
func (h have) host(node string) string {
	if a := h.nodes[node].Address; a != "" && a != "0.0.0.0" {
		return a
	}
	return "127.0.0.1"
}

// instances are the tasks that run or should, and the newest of each slot; by slot, newest first.
func (h have) instances() []lain.InstanceSeen {
	tasks := slices.Clone(h.tasks)
	slices.SortFunc(tasks, func(a, b swarm.Task) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	failed := h.failedBySlot()
	var list []lain.InstanceSeen
	slot := -1
	for _, t := range tasks {
		if t.Slot != slot && t.Slot <= max(h.replicas(), 0) || wanted(t) || running(t) {
			list = append(list, h.instance(t, failed[t.Slot]))
		}
		slot = t.Slot
	}
	return list
}

func (h have) instance(t swarm.Task, failed int) lain.InstanceSeen {
	i := lain.InstanceSeen{
		Number: t.Slot,
		Task:   t.ID,
		Node:   h.nodes[t.NodeID].Name,
		State:  string(t.Status.State),
		Reason: oneLine(t.Status.Err),
		Since:  t.Status.Timestamp,
		Failed: failed,
	}
	i.Release = releaseOf(t)
	if running(t) && !wanted(t) {
		i.State = lain.StoppingState
	}
	if running(t) && wanted(t) {
		i.Address = h.address(t)
		if h.sick(t) {
			i.State = lain.UnwellState
		}
	}
	return i
}

// releaseOf reads the release back from the environment that serviceSpec wrote.
func releaseOf(t swarm.Task) int {
	if t.Spec.ContainerSpec == nil {
		return 0
	}
	for _, kv := range t.Spec.ContainerSpec.Env {
		if v, ok := strings.CutPrefix(kv, "LAIN_RELEASE=v"); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// failures are the tasks that broke under this attempt: those that the engine still lists first, newest
// first. It keeps five of a slot, and when an attempt follows a bad one those are soon gone.
func (h have) failures() []swarm.Task {
	var list []swarm.Task
	for _, t := range h.tasks {
		if h.current(t) && broken(t) && !t.CreatedAt.Before(h.began()) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b swarm.Task) int { return b.Status.Timestamp.Compare(a.Status.Timestamp) })
	return slices.Concat(list, h.gone)
}

// missing are those of the failures seen before that the engine does not list any more.
func (h have) missing(before []swarm.Task) []swarm.Task {
	return slices.DeleteFunc(slices.Clone(before), func(b swarm.Task) bool {
		return slices.ContainsFunc(h.tasks, func(t swarm.Task) bool { return t.ID == b.ID })
	})
}

func (h have) failedBySlot() map[int]int {
	n := map[int]int{}
	for _, t := range h.failures() {
		n[t.Slot]++
	}
	return n
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
