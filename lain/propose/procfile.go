package propose

import (
	"regexp"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

var procfileLine = regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(\S.*)$`)

// takeProcfile has a Procfile win over what was proposed: web is web, release a oneshot, any other line a worker.
func (d *draft) takeProcfile(t tree) error {
	text, err := t.read("Procfile")
	if err != nil || text == "" {
		return err
	}
	for line := range strings.Lines(text) {
		if m := procfileLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			d.takeLine(m[1], m[2])
		}
	}
	if d.web == "" {
		return fault.New(fault.NotFound, "the Procfile has no web").WithHint("Add a line like: web: COMMAND, and do this again")
	}
	return nil
}

func (d *draft) takeLine(name, command string) {
	switch {
	case name == "web":
		d.web = command
	case name == "release":
		d.workers = append(d.workers, procLine{"oneshot", command})
	default:
		if _, err := lain.ParseProcName(name); err != nil {
			d.note("The %s of the Procfile is left out: %s.", name, err)
			return
		}
		d.workers = append(d.workers, procLine{"worker." + name, command})
	}
}
