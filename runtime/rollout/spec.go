package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/engine"
	"lain.internal/lain/helper/probe"
	"lain.internal/lain/lain"
)

// The labels that rollout adds to those of the engine package. All but SpecLabel are on the service only,
// where a change restarts nothing.
const (
	ReleaseLabel = "lain.release"
	AttemptLabel = "lain.attempt"
	BeganLabel   = "lain.began" // when this attempt was given to the engine, RFC 3339
	NudgeLabel   = "lain.nudge" // grows when the engine has to look again
	SpecLabel    = "lain.spec"  // on the container: which specification it was made of
)

const (
	defaultMemory      = 256 << 20
	defaultKillTimeout = 10 * time.Second
	defaultDeadline    = 60 * time.Second
	pidsLimit          = 2048
	holdFor            = 5 * time.Second        // from the engine's signal to the application's, for those that get requests
	probeEvery         = 500 * time.Millisecond // until the first success; then the helper slows it down
	probeTimeout       = 3 * time.Second
	probeRetries       = 3
	settling           = time.Second     // that the first good answer has to last
	probation          = 2 * time.Second // that a proc without a port has to stay up, at least
	aliveEvery         = time.Hour       // its next probes say nothing new
)

// capabilities are those that containers keep (DESIGN section 6).
var capabilities = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETUID",
	"CAP_SETGID", "CAP_KILL", "CAP_NET_BIND_SERVICE"}

// surroundings are what a specification takes from outside the wish.
type surroundings struct {
	name          string            // of the service
	labels        map[string]string // those that make it ours
	image         string            // with the registry's host and the digest
	argv          []string          // ENTRYPOINT and CMD, resolved
	network       string            // id of the application's
	helper        string            // path of the helper on the nodes
	secrets       []*swarm.SecretReference
	domain        string
	nodeCPUs      int64 // of the smallest node, in billionths of a core
	probeInterval time.Duration
}

// serviceSpec is the service that a wish means. It is pure, and the same input gives the same SpecLabel.
func serviceSpec(want lain.ProcWant, s surroundings, now time.Time) swarm.ServiceSpec {
	labels := maps.Clone(s.labels)
	labels[ReleaseLabel] = strconv.Itoa(want.Release)
	labels[AttemptLabel] = strconv.Itoa(want.Attempt)
	labels[BeganLabel] = now.UTC().Format(time.RFC3339Nano)
	spec := swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: s.name, Labels: labels},
		TaskTemplate: taskSpec(want, s),
		Mode:         replicated(max(0, want.Spec.Instances)),
		EndpointSpec: endpointSpec(want.Spec),
		UpdateConfig: updateConfig(swarm.UpdateOrderStartFirst),
	}
	spec.TaskTemplate.ContainerSpec.Labels[SpecLabel] = fingerprint(spec.TaskTemplate, spec.EndpointSpec)
	return spec
}

func updateConfig(order string) *swarm.UpdateConfig {
	return &swarm.UpdateConfig{
		Parallelism:   0, // all at once
		Order:         order,
		FailureAction: swarm.UpdateFailureActionPause,
		Monitor:       500 * time.Millisecond,
	}
}

func fingerprint(parts ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, p := range parts {
		_ = enc.Encode(p) // plain values into a hash: neither can fail
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func taskSpec(want lain.ProcWant, s surroundings) swarm.TaskSpec {
	return swarm.TaskSpec{
		ContainerSpec: containerSpec(want, s),
		Resources:     &swarm.ResourceRequirements{Limits: limits(want.Spec, s.nodeCPUs)},
		RestartPolicy: restartAfter(delays[0]),
		Networks:      []swarm.NetworkAttachmentConfig{{Target: s.network, Aliases: []string{string(want.Spec.Name)}}},
		LogDriver:     &swarm.Driver{Name: "json-file", Options: map[string]string{"max-size": "16m", "max-file": "3"}},
	}
}

func containerSpec(want lain.ProcWant, s surroundings) *swarm.ContainerSpec {
	grace, init := stopGrace(want.Spec), true
	return &swarm.ContainerSpec{
		Image:           s.image,
		Labels:          maps.Clone(s.labels),
		Command:         []string{lain.HelperPath},
		Args:            helperArgs(want.Spec, s.argv),
		Secrets:         s.secrets,
		Hostname:        string(want.Spec.Name) + "-{{.Task.Slot}}",
		Env:             environment(want, s.domain),
		Dir:             want.Spec.Workdir,
		User:            want.Spec.User,
		Init:            &init,
		StopGracePeriod: &grace,
		Healthcheck:     healthCheck(want.Spec, s.probeInterval),
		Mounts:          []mount.Mount{{Type: mount.TypeBind, Source: s.helper, Target: lain.HelperPath, ReadOnly: true}},
		CapabilityDrop:  []string{"ALL"},
		CapabilityAdd:   slices.Clone(capabilities),
	}
}

// stopGrace is from the engine's signal to the kill. What the helper holds back does not count against the application.
func stopGrace(p lain.ProcSpec) time.Duration {
	grace := orDefault(p.KillTimeout, defaultKillTimeout)
	if p.Port > 0 {
		grace += holdFor
	}
	return grace
}

// helperArgs have the helper start argv, with the config values where there are any. Of what gets requests the helper
// holds the signal to end back: a server that is killed in a rollout has so long to come back and tell the router.
func helperArgs(p lain.ProcSpec, argv []string) []string {
	args := []string{"run"}
	if p.Port > 0 {
		args = []string{"serve", holdFor.String()}
	}
	return slices.Concat(args, configArgs(p), []string{"--"}, argv)
}

func configArgs(p lain.ProcSpec) []string {
	if p.Config == nil {
		return nil
	}
	return []string{"--config", string(lain.ConfigPath)}
}

// limits are those of one instance. LAIN's CPU level is in eighths of half a node.
func limits(p lain.ProcSpec, nodeCPUs int64) *swarm.Limit {
	l := &swarm.Limit{MemoryBytes: p.MemoryBytes, Pids: pidsLimit}
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = defaultMemory
	}
	if p.CPULevel > 0 {
		l.NanoCPUs = nodeCPUs * int64(min(p.CPULevel, 8)) / 16
	}
	return l
}

// endpointSpec publishes the port on a free one of each node: Swarm's mesh and virtual addresses are not used.
func endpointSpec(p lain.ProcSpec) *swarm.EndpointSpec {
	e := &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}
	if p.Port > 0 {
		e.Ports = []swarm.PortConfig{{
			Protocol: swarm.PortConfigProtocolTCP, TargetPort: uint32(p.Port), PublishMode: swarm.PortConfigPublishModeHost,
		}}
	}
	return e
}

// healthCheck asks through the helper, on the address that the router will use ("self"): an application that
// listens on its loopback only would be called healthy otherwise and never answer anybody. The start period is the whole time a proc has to become healthy, so
// that the engine never kills what may still come up: the deadline is the judge's. One success ends it.
// The timeout leaves room for the helper's own sleep inside the probe. It replaces an image's own check.
//
// An instance has to settle before the check calls it healthy, and not after: Swarm stops the old instances
// at the moment in which it calls the new ones healthy, and a release that crashes right behind that would
// leave nothing to return to. So a proc without a port has a check as well, which is only about time.
func healthCheck(p lain.ProcSpec, interval time.Duration) *container.HealthConfig {
	timeout, retries, settle := probeTimeout, probeRetries, settling
	if c := p.Check; c != nil {
		interval, timeout, retries = orDefault(c.Interval, interval), orDefault(c.Timeout, timeout), max(c.Retries, 1)
	}
	if !p.Checked() {
		interval, settle = aliveEvery, max(probation, p.SetupTime)
	}
	what, command := question(p)
	test := slices.Concat([]string{"CMD", lain.HelperPath, "probe"}, what,
		[]string{"--timeout", timeout.String(), "--interval", interval.String(), "--settle", settle.String()}, command)
	return &container.HealthConfig{
		Test:        test,
		Interval:    probeEvery,
		Timeout:     probe.EngineTimeout(interval, timeout, settle),
		StartPeriod: timeToComeUp(p),
		Retries:     retries,
	}
}

// question is what the helper asks, and the command that it asks by, if it is one: a line for the image's shell,
// as in LAIN.
func question(p lain.ProcSpec) (what, command []string) {
	switch {
	case !p.Checked():
		return []string{"--alive"}, nil
	case p.Check != nil && p.Check.Command != "":
		return []string{"--exec"}, []string{"--", "/bin/sh", "-c", p.Check.Command}
	case p.HealthPath != "":
		return []string{"--http", fmt.Sprintf("http://self:%d/%s", p.Port, strings.TrimPrefix(p.HealthPath, "/"))}, nil
	}
	return []string{"--tcp", fmt.Sprintf("self:%d", p.Port)}, nil
}

// environment is the wish's own, and what Lain injects, which wins. Sorted, one entry for each name.
func environment(want lain.ProcWant, domain string) []string {
	env := map[string]string{}
	for _, kv := range want.Spec.Env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = literal(v)
	}
	maps.Copy(env, injected(want, domain))
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// literal keeps Swarm from reading a person's value as one of its templates.
func literal(v string) string { return strings.ReplaceAll(v, "{{", `{{"{{"}}`) }

func injected(want lain.ProcWant, domain string) map[string]string {
	p := want.Spec
	env := map[string]string{
		"LAIN_APPNAME":             string(want.App),
		"LAIN_PROCNAME":            string(p.Name),
		"LAIN_APP_RELEASE_VERSION": string(want.Commit),
		"LAIN_RELEASE":             fmt.Sprintf("v%d", want.Started()),
		"LAIN_DOMAIN":              domain,
		"LAIN_INSTANCE_NO":         "{{.Task.Slot}}",
		"DEPLOYD_POD_INSTANCE_NO":  "{{.Task.Slot}}",
		"DEPLOYD_POD_NAME":         fmt.Sprintf("%s.%s.%s", want.App, p.Type, p.Name),
		"DEPLOYD_POD_NAMESPACE":    string(want.App),
	}
	if p.Port > 0 {
		env["PORT"] = strconv.Itoa(p.Port)
	}
	return env
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// command is the argv of a proc as Docker would put it together: an entrypoint of the wish's own drops
// the image's CMD.
func command(p lain.ProcSpec, image engine.ImageConfig) []string {
	if p.Entrypoint != nil {
		return slices.Concat(p.Entrypoint, p.Cmd)
	}
	if p.Cmd != nil {
		return slices.Concat(image.Entrypoint, p.Cmd)
	}
	return slices.Concat(image.Entrypoint, image.Cmd)
}
