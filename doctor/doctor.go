// Package doctor looks a machine over before Lain is installed on it, and says of each thing it needs
// whether it is there and, where not, what to do.
//
// Looking and judging are apart: the files named look_*.go gather facts from the machine and change nothing that lasts
// (the kernel is tried in a network namespace that is gone afterwards), judge.go turns facts into
// sentences and touches nothing.
//
// It installs nothing, starts nothing, and does not ask a running Lain how it is.
package doctor

import (
	"context"
	"net/netip"
	"time"
)

// Options say what the machine is meant for.
type Options struct {
	DataDir     string        // where Lain will keep its data; "": /var/lib/lain
	DockerHost  string        // the engine; "": unix:///var/run/docker.sock
	Listen      []string      // host:port addresses that must be free
	AddressPool netip.Prefix  // of the overlay networks; zero: the swarm's own, or 10.0.0.0/8
	Patience    time.Duration // for any one program or answer; 0: 10 s
}

// Finding is the answer to one question about the machine.
type Finding struct {
	Name     string // short and stable: "git", "port :80"
	OK       bool
	Optional bool   // Lain runs without it, with less
	Sentence string // what was found
	Remedy   string // what to do; "" where all is well
}

// Check asks every question and returns the answers in the order a person would mend them. It blocks at most a
// few times Patience, and ends early with ctx; what could not be asked is a finding that says so.
func Check(ctx context.Context, o Options) []Finding {
	if o.DataDir == "" {
		o.DataDir = "/var/lib/lain"
	}
	if o.DockerHost == "" {
		o.DockerHost = "unix:///var/run/docker.sock"
	}
	if o.Patience <= 0 {
		o.Patience = 10 * time.Second
	}
	return judge(look(ctx, o))
}

// Healthy reports whether everything that Lain cannot do without is there.
func Healthy(findings []Finding) bool {
	for _, f := range findings {
		if !f.OK && !f.Optional {
			return false
		}
	}
	return true
}
