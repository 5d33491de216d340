package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/docker/docker/api/types/filters"

	"lain.internal/lain/lain"
)

// The labels of what is made for an application, beside ClusterLabel.
const (
	AppLabel  = "lain.app"
	ProcLabel = "lain.proc"
)

// longestName is Swarm's limit for a service, which is also a DNS label.
const longestName = 63

// ServiceName is what the engine calls a proc: <cluster>_<app>_<proc>, hashed where that is too long.
func (e *Engine) ServiceName(app lain.AppName, proc lain.ProcName) string {
	return clip(fmt.Sprintf("%s_%s_%s", e.cluster, app, proc))
}

// NetworkName is what the engine calls an application's network.
func (e *Engine) NetworkName(app lain.AppName) string {
	return clip(fmt.Sprintf("%s_%s", e.cluster, app))
}

// clip keeps the readable front of a long name and makes it unique by a hash of the whole. No short name
// has this form: between the hash and the front stand two "_".
func clip(name string) string {
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "__" + hex.EncodeToString(sum[:8])
	return name[:longestName-len(tail)] + tail
}

// Labels are those of something of ours that belongs to a proc, or to a whole app where proc is empty.
func (e *Engine) Labels(app lain.AppName, proc lain.ProcName) map[string]string {
	labels := map[string]string{ClusterLabel: string(e.cluster), AppLabel: string(app)}
	if proc != "" {
		labels[ProcLabel] = string(proc)
	}
	return labels
}

// ours reports whether labels mark a thing of this cluster.
func (e *Engine) ours(labels map[string]string) bool {
	return labels[ClusterLabel] == string(e.cluster)
}

// filter asks for things of this cluster, of one app and proc where they are given.
func (e *Engine) filter(app lain.AppName, proc lain.ProcName) filters.Args {
	f := filters.NewArgs(filters.Arg("label", ClusterLabel+"="+string(e.cluster)))
	if app != "" {
		f.Add("label", AppLabel+"="+string(app))
	}
	if proc != "" {
		f.Add("label", ProcLabel+"="+string(proc))
	}
	return f
}

// procFilter is filter without what belongs to no proc: one-off containers.
func (e *Engine) procFilter(app lain.AppName, proc lain.ProcName) filters.Args {
	f := e.filter(app, proc)
	if proc == "" {
		f.Add("label", ProcLabel)
	}
	return f
}
