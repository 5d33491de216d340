package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
)

// memoryTime is how long ps waits for the engine to say what containers use.
const memoryTime = 3 * time.Second

// psProc is a proc in the answer of ps.
type psProc struct {
	lain.ProcSeen
	Instances []psInstance `json:"instances"`
}

// psInstance is one container in the answer of ps.
type psInstance struct {
	lain.InstanceSeen
	Memory      *int64 `json:"memory_bytes,omitempty"` // that it uses now; none where the engine has no answer
	MemoryLimit int64  `json:"memory_limit_bytes,omitempty"`
	Restarts    int    `json:"restarts"` // since its proc was last rolled out
}

func ps(c *call) error {
	if _, err := c.theApp(); err != nil {
		return err
	}
	seen, err := c.procsSeen()
	if err != nil {
		return err
	}
	if seen, err = c.withOneshots(seen); err != nil {
		return err
	}
	limits, err := c.memoryLimits()
	if err != nil {
		return err
	}
	procs := withMemory(seen, c.memoryNow(), limits)
	return c.answer(procs, func(w io.Writer) {
		writePs(w, procs, c.Now())
		for _, p := range procs {
			if p.Crashing != nil {
				fmt.Fprintln(w, crashLine(c.app, p.Proc, *p.Crashing, c.Now()))
			}
		}
	})
}

// memoryNow asks the engine what each task uses. An engine that does not answer costs some cells of the table only.
func (c *call) memoryNow() map[string]engine.Memory {
	ctx, cancel := context.WithTimeout(c, memoryTime)
	defer cancel()
	now, err := c.Machine.TaskMemory(ctx, c.app)
	if err != nil {
		c.Logger.Warn("the engine does not say what containers use", "app", c.app, "error", err)
	}
	return now
}

// memoryLimits are those of the procs that are wanted.
func (c *call) memoryLimits() (map[lain.ProcName]int64, error) {
	wants, _, err := c.API.wants.List(c, string(c.app)+"/")
	limits := map[lain.ProcName]int64{}
	for _, w := range wants {
		limits[w.Value.Spec.Name] = w.Value.Spec.MemoryBytes
	}
	return limits, err
}

// withMemory puts what the records and the engine say together. The limit that a container really has goes first:
// one that is being replaced may have another than its proc has now.
func withMemory(seen []lain.ProcSeen, now map[string]engine.Memory, limits map[lain.ProcName]int64) []psProc {
	procs := make([]psProc, 0, len(seen))
	for _, p := range seen {
		proc := psProc{ProcSeen: p, Instances: []psInstance{}}
		for _, i := range p.Instances {
			in := psInstance{InstanceSeen: i, Restarts: i.Failed, MemoryLimit: limits[p.Proc]}
			if m, ok := now[i.Task]; ok {
				in.Memory, in.MemoryLimit = &m.Used, m.Limit
			}
			proc.Instances = append(proc.Instances, in)
		}
		procs = append(procs, proc)
	}
	return procs
}

// writePs draws a row for each instance, and below those that have one a line with the reason: at most 100 columns.
func writePs(w io.Writer, procs []psProc, now time.Time) {
	var table bytes.Buffer
	var reasons []string // of each row
	rows(&table, "INSTANCE RELEASE STATE AGE MEMORY RESTARTS", func(row func(...any)) {
		for _, p := range procs {
			for _, i := range p.Instances {
				row(fmt.Sprintf("%s.%d", p.Proc, i.Number), version(i.Release), i.State, age(now, i.Since), memory(i), i.Restarts)
				reasons = append(reasons, i.Reason)
			}
			if len(p.Instances) == 0 {
				row(p.Proc, version(p.Release), p.State, age(now, p.At), "-", "-")
				reasons = append(reasons, p.Reason)
			}
		}
	})
	heading, rest, _ := strings.Cut(table.String(), "\n")
	fmt.Fprintln(w, heading)
	for i, line := range strings.Split(strings.TrimSuffix(rest, "\n"), "\n") {
		fmt.Fprintln(w, line)
		if i < len(reasons) {
			writeFolded(w, reasons[i])
		}
	}
}

// memory is what an instance uses, of what it may use.
func memory(i psInstance) string {
	used, limit := "-", "-"
	if i.Memory != nil {
		used = mebibytes(*i.Memory)
	}
	if i.MemoryLimit > 0 {
		limit = mebibytes(i.MemoryLimit)
	}
	return used + " of " + limit
}

// mebibytes is an amount of memory as people say it: "12MiB", "1.5GiB".
func mebibytes(n int64) string { return units.CustomSize("%.4g%s", float64(n), 1024, binary) }

var binary = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// widest is how many columns a table with sentences in it may have.
const widest = 100

// writeFolded writes a sentence below a row, in lines that fit.
func writeFolded(w io.Writer, text string) {
	const indent = "  "
	line := indent
	for _, word := range strings.Fields(report.Line(text, 1000)) {
		if len(line)+1+len(word) > widest && line != indent {
			fmt.Fprintln(w, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	if line != indent {
		fmt.Fprintln(w, line)
	}
}
