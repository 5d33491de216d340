package rollout

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"
)

// The engine gives an instance up after some failed probes in a row, which takes it a while: by default three, of five
// seconds each. From the first one on, an instance is unwell, and gets requests only if none is well.

// containers is a set of their ids.
type containers map[string]bool

// addresses are those that may get requests now, sorted: those of the instances that are well, or of all where none
// is, since some answer is better than none.
func (h have) addresses() []string {
	var all, well []string
	for _, t := range h.tasks {
		if address := h.address(t); ready(t) && address != "" {
			all = append(all, address)
			if !h.sick(t) {
				well = append(well, address)
			}
		}
	}
	if len(well) == 0 {
		well = all
	}
	slices.Sort(well)
	return slices.Compact(well)
}

// sick reports whether the last probe of a task's container failed.
func (h have) sick(t swarm.Task) bool { return h.unwell[containerOf(t)] }

// containerOf is the id of a task's container; "" as long as it has none.
func containerOf(t swarm.Task) string {
	if t.Status.ContainerStatus == nil {
		return ""
	}
	return t.Status.ContainerStatus.ContainerID
}
