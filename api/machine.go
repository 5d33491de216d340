package api

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/runtime/disk"
)

// machineVerbs are about what all applications share.
func machineVerbs() []verb {
	return []verb{
		{name: "bases", summary: "images that the server has to build from: those in its engine that are no application's", example: "bases",
			detail: "Others are pulled when a build names them, if the server reaches their registry.",
			action: access.Read, run: bases},
		{name: "capacity", summary: "the nodes: cpus, memory and disks, how much of it the procs may take, and what still fits", example: "capacity --memory 512m",
			detail: "TAKEN adds up the limits of all instances that are wanted. Limits are not reserved: nothing refuses a push or scale beyond.\n" +
				"While a release is rolled out, the instances of the old and the new one run beside one another.",
			action: access.Read, run: capacity,
			flags: func(f *pflag.FlagSet) { f.String("memory", "256m", "the limit of the instances that are asked about") }},
	}
}

// base is a name of an image that can be built from.
type base struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Bytes   int64     `json:"bytes"` // with layers that others share
	Created time.Time `json:"created"`
}

func bases(c *call) error {
	images, err := c.Machine.ForeignImages(c)
	if err != nil {
		return err
	}
	all := []base{}
	for _, i := range images {
		for _, name := range i.Tags {
			if !c.internal(name) {
				all = append(all, base{Name: name, ID: i.ID, Bytes: i.Bytes, Created: i.Created})
			}
		}
	}
	slices.SortFunc(all, func(a, b base) int { return strings.Compare(a.Name, b.Name) })
	return c.answer(all, func(w io.Writer) {
		if len(all) == 0 {
			fmt.Fprintln(w, "None. A build pulls what its lain.yaml names as base.")
			return
		}
		rows(w, "NAME SIZE AGE ID", func(row func(...any)) {
			for _, b := range all {
				row(b.Name, units.HumanSize(float64(b.Bytes)), age(c.Now(), b.Created), short(b.ID))
			}
		})
	})
}

// internal are names that images have for the server's own sake: copies in its registry, and marks of builds.
func (c *call) internal(name string) bool {
	return strings.HasPrefix(name, c.RegistryHost+"/") || strings.HasPrefix(name, "lain.invalid/")
}

// short is the beginning of an image's id, as the engine shows it.
func short(id string) string {
	_, digits, found := strings.Cut(id, ":")
	if !found {
		digits = id
	}
	return digits[:min(12, len(digits))]
}

// room is the answer of capacity.
type room struct {
	Nodes     []node       `json:"nodes"`
	Instances int          `json:"instances"` // that are wanted
	CPUs      float64      `json:"cpus"`
	CPULimits float64      `json:"cpu_limits"`            // of those instances that have one
	Unlimited int          `json:"cpu_unlimited"`         // instances that have none
	Memory    int64        `json:"memory_bytes"`          // of all nodes
	Limits    int64        `json:"memory_limits_bytes"`   // of all instances
	Asked     int64        `json:"instance_memory_bytes"` // --memory
	Fits      int          `json:"fits"`                  // so many more instances of it
	Disks     []disk.Usage `json:"disks"`
}

// node is a machine of the cluster.
type node struct {
	Name   string  `json:"name"`
	CPUs   float64 `json:"cpus"`
	Memory int64   `json:"memory_bytes"`
	Ready  bool    `json:"ready"`
}

func capacity(c *call) error {
	size, err := c.sizeFlags()
	if err != nil {
		return err
	}
	if size.MemoryBytes == 0 {
		return wrongArgument(c, "say how large the instances are that are asked about: --memory 256m")
	}
	nodes, err := c.Machine.Nodes(c)
	if err != nil {
		return err
	}
	wants, _, err := c.API.wants.List(c, "")
	if err != nil {
		return err
	}
	r := room{Nodes: []node{}, Asked: size.MemoryBytes, Disks: c.Disks()}
	for _, n := range nodes {
		r.addNode(n)
	}
	for _, w := range wants {
		r.addProc(w.Value.Spec)
	}
	if free := r.Memory - r.Limits; free > 0 {
		r.Fits = int(free / r.Asked)
	}
	return c.answer(r, r.write)
}

func (r *room) addNode(n engine.Node) {
	cpus := float64(n.CPUs) / 1e9
	r.Nodes = append(r.Nodes, node{Name: n.Name, CPUs: cpus, Memory: n.Memory, Ready: n.Ready})
	if n.Ready {
		r.CPUs += cpus
		r.Memory += n.Memory
	}
}

// addProc counts a proc. A cpu level is a share of half a node, in eighths; nodes are taken as alike.
func (r *room) addProc(p lain.ProcSpec) {
	r.Instances += p.Instances
	r.Limits += int64(p.Instances) * p.MemoryBytes
	if p.CPULevel == 0 || len(r.Nodes) == 0 {
		r.Unlimited += p.Instances
		return
	}
	r.CPULimits += float64(p.Instances) * r.Nodes[0].CPUs * float64(p.CPULevel) / 16
}

func (r room) write(w io.Writer) {
	rows(w, "NODE CPUS MEMORY STATE", func(row func(...any)) {
		for _, n := range r.Nodes {
			state := "ready"
			if !n.Ready {
				state = "away"
			}
			row(n.Name, n.CPUs, mebibytes(n.Memory), state)
		}
	})
	fmt.Fprintln(w)
	rows(w, "OF TAKEN ALL", func(row func(...any)) {
		row("memory", mebibytes(r.Limits), mebibytes(r.Memory))
		row("cpus", fmt.Sprintf("%.4g, and %d of %d instances without a limit", r.CPULimits, r.Unlimited, r.Instances), fmt.Sprintf("%.4g", r.CPUs))
	})
	fmt.Fprintln(w)
	rows(w, "DISK FREE ALL RESERVE PATH", func(row func(...any)) {
		for _, d := range r.Disks {
			row(d.Name, mebibytes(d.Free), mebibytes(d.Total), mebibytes(d.Reserve), d.Path)
		}
	})
	fmt.Fprintf(w, "\n%d more instances of %s fit into memory.\n", r.Fits, mebibytes(r.Asked))
}
