package lain

import (
	"fmt"
	"strings"
	"time"
)

// ProcType says what a proc is for (LAIN 1.5).
type ProcType string

// The types served so far. LAIN's portal comes later.
const (
	Web     ProcType = "web"
	Worker  ProcType = "worker"
	Oneshot ProcType = "oneshot" // runs to its end before the others of a release start
)

// OneshotLimit is the longest a oneshot proc may run.
const OneshotLimit = time.Hour

// HealthCheck is a check of a proc's own (LAIN's container_healthcheck).
type HealthCheck struct {
	Command  string        `json:"command,omitempty"` // a line for the image's shell, healthy when it ends with 0; "": HealthPath, else TCP
	Off      bool          `json:"off,omitempty"`     // it is never asked
	Interval time.Duration `json:"interval"`          // from one question to the next, ns
	Timeout  time.Duration `json:"timeout"`           // for an answer, ns
	Retries  int           `json:"retries"`           // failures in a row that make it unhealthy
}

// Checked reports whether instances of the proc are asked how they are.
func (p ProcSpec) Checked() bool {
	switch {
	case p.Check != nil && p.Check.Off:
		return false
	case p.Check != nil && p.Check.Command != "":
		return true
	}
	return p.Port > 0
}

// MostInstances bounds the instances of one proc.
const MostInstances = 500

// LeastMemory is the lowest limit that the engine accepts, bytes.
const LeastMemory = 6 << 20

// ImageRef names an image by repository and digest, without a host: the host of the registry is added
// at rollout, so that a record stays true when the registry moves.
type ImageRef struct {
	Repository string `json:"repository"` // "hello"; for a foreign image its full name, host included
	Digest     string `json:"digest"`     // "sha256:..."
	Foreign    bool   `json:"foreign,omitempty"`
}

// Validate refuses anything that is not a repository with a sha256 digest.
func (r ImageRef) Validate() error {
	if r.Repository == "" || !digestPattern.MatchString(r.Digest) {
		return fmt.Errorf("image %q has no repository or no sha256 digest", r.String())
	}
	return nil
}

// String is repository@digest, without the registry's host.
func (r ImageRef) String() string { return r.Repository + "@" + r.Digest }

// On is the reference a node pulls: host/repository@digest. A foreign image keeps its own host.
func (r ImageRef) On(registryHost string) string {
	if r.Foreign {
		return r.String()
	}
	return registryHost + "/" + r.String()
}

// ProcSpec is one proc of a release with every default filled in: what the rollout makes true.
type ProcSpec struct {
	Name        ProcName      `json:"name"`
	Type        ProcType      `json:"type"`
	Image       ImageRef      `json:"image"`
	Entrypoint  []string      `json:"entrypoint,omitzero"` // nil: the image's
	Cmd         []string      `json:"cmd,omitzero"`        // nil: the image's; empty: no arguments
	Env         []string      `json:"env,omitempty"`       // K=V, without what Lain injects
	User        string        `json:"user,omitempty"`      // "": the image's
	Workdir     string        `json:"workdir,omitempty"`   // "": the image's
	Instances   int           `json:"instances"`           // wanted replicas, at least 0
	MemoryBytes int64         `json:"memory_bytes"`        // limit, bytes
	CPULevel    int           `json:"cpu_level,omitempty"` // LAIN's share 1..8 of half a node; 0: no limit
	Port        int           `json:"port,omitempty"`      // port the proc listens on; 0: none
	HealthPath  string        `json:"health_path,omitempty"`
	SetupTime   time.Duration `json:"setup_time,omitempty"`   // grace before the first probe counts, ns
	KillTimeout time.Duration `json:"kill_timeout,omitempty"` // SIGTERM to SIGKILL, ns
	Deadline    time.Duration `json:"deadline,omitempty"`     // to be healthy after SetupTime, ns; 0: 60 s
	Check       *HealthCheck  `json:"check,omitempty"`        // nil: HealthPath, else TCP on Port, as often as the cluster does
	SecretFiles []SecretPath  `json:"secret_files,omitempty"` // that lain.yaml declares
	Bypass      bool          `json:"bypass,omitempty"`       // run although the vault lacks some of SecretFiles
	Secrets     []SecretMount `json:"secrets,omitempty"`      // what SecretFiles are pinned to, sorted by path
	Config      *ConfigMount  `json:"config,omitempty"`       // nil: the application has no config values
	Since       int           `json:"since,omitempty"`        // the release that its containers were first started for; 0: the one it is part of
	Declared    *Size         `json:"declared,omitempty"`     // what lain.yaml says where a person scaled it otherwise
}

// Size is how much of a proc runs. A field that is nil or zero says nothing about it.
type Size struct {
	Instances   *int  `json:"instances,omitempty"`
	MemoryBytes int64 `json:"memory_bytes,omitempty"` // limit of one instance, bytes
	CPULevel    *int  `json:"cpu_level,omitempty"`    // LAIN's share 0..8 of half a node; 0: no limit
}

// IsZero reports a size that says nothing.
func (s Size) IsZero() bool { return s == Size{} }

// Over is s, with what it leaves open taken from under.
func (s Size) Over(under Size) Size {
	if s.Instances == nil {
		s.Instances = under.Instances
	}
	if s.MemoryBytes == 0 {
		s.MemoryBytes = under.MemoryBytes
	}
	if s.CPULevel == nil {
		s.CPULevel = under.CPULevel
	}
	return s
}

// Size is what the proc is now.
func (p ProcSpec) Size() Size {
	return Size{Instances: &p.Instances, MemoryBytes: p.MemoryBytes, CPULevel: &p.CPULevel}
}

// Resized is the proc with all that s says.
func (p ProcSpec) Resized(s Size) ProcSpec {
	full := s.Over(p.Size())
	p.Instances, p.MemoryBytes, p.CPULevel = *full.Instances, full.MemoryBytes, *full.CPULevel
	return p
}

// Route says that requests for host and path prefix belong to a proc. Path begins and ends with "/".
// The prefix is stripped before the proc sees it, as LAIN did (webrouter, 3.5).
type Route struct {
	Host      string   `json:"host"` // lower case, no port
	Path      string   `json:"path"`
	Proc      ProcName `json:"proc"`
	HTTPSOnly bool     `json:"https_only,omitempty"`
}

// URL is the address a person would open.
func (r Route) URL(scheme string, port int) string {
	host := r.Host
	if port != 0 && port != map[string]int{"http": 80, "https": 443}[scheme] {
		host = fmt.Sprintf("%s:%d", host, port)
	}
	return scheme + "://" + host + "/" + strings.TrimPrefix(r.Path, "/")
}
