package diary

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/lain"
)

// news is something that happened to an instance.
type news struct {
	what lain.Happening
	of   lain.InstanceSeen
}

// compare tells what happened between two records of a proc, in the order of the instances.
func compare(before, after lain.ProcSeen) []news {
	var list []news
	for _, was := range before.Instances {
		if i := find(after, was.Task); i < 0 && alive(was) && failedSince(was, after) {
			list = append(list, news{lain.Died, was}) // the next one of its slot is there already
		}
	}
	for _, is := range after.Instances {
		was := lain.InstanceSeen{}
		if i := find(before, is.Task); i >= 0 {
			was = before.Instances[i]
		}
		if what := became(was, is); what != "" {
			list = append(list, news{what, is})
		}
	}
	return list
}

func find(p lain.ProcSeen, task string) int {
	return slices.IndexFunc(p.Instances, func(i lain.InstanceSeen) bool { return i.Task == task })
}

// became is what happened to one instance; "" for nothing that anybody wants to know.
func became(was, is lain.InstanceSeen) lain.Happening {
	switch {
	case broken(is) && !broken(was):
		return lain.Died
	case is.State == lain.UnwellState && was.State != lain.UnwellState:
		return lain.Unwell
	case is.State == running && was.State == lain.UnwellState:
		return lain.Well
	case is.State == running && was.State != running:
		return lain.Started
	}
	return ""
}

const running = string(swarm.TaskStateRunning)

// broken reports an instance that ended without having been told to.
func broken(i lain.InstanceSeen) bool {
	return slices.Contains([]swarm.TaskState{swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateComplete}, swarm.TaskState(i.State))
}

func alive(i lain.InstanceSeen) bool { return i.State == running || i.State == lain.UnwellState }

// failedSince reports whether more containers of an instance's slot have failed than when it was seen.
func failedSince(was lain.InstanceSeen, after lain.ProcSeen) bool {
	return slices.ContainsFunc(after.Instances, func(i lain.InstanceSeen) bool { return i.Number == was.Number && i.Failed > was.Failed })
}
