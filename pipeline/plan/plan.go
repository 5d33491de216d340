// Package plan is the thinking of a run without any of its doing: which stages apply, what a manifest
// becomes as a release, and what is left to do for a run whose process died.
//
// Everything here is a pure function of its arguments.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
)

// The stages of a run, in their order.
const (
	Read    = "read"
	Prepare = "prepare"
	Build   = "build"
	Test    = lain.TestStage
	Release = "release"
	Push    = "push"
	Secrets = "secrets"
	Oneshot = "oneshot"
	Rollout = "rollout"
	Routes  = "routes"
	Ref     = "ref"
)

// Stage is one step of a run. Skip says why it is not needed; "" means it runs.
type Stage struct {
	Name string
	Skip string
}

// Facts are what the choice of stages hangs on.
type Facts struct {
	HasPrepare   bool
	PrepareReady bool // the prepare image exists already
	HasTest      bool
	Built        *lain.Build // what this tree became before; nil if it was never built
	BuildOnly    bool
	HasOneshot   bool
	SkipOneshot  bool // the pusher asked for it
}

// Stages are those of a run whose lain.yaml has been read.
func Stages(f Facts) []Stage {
	var built string
	if f.Built != nil {
		built = fmt.Sprintf("already built by r-%d", f.Built.BuiltBy)
	}
	first := func(reasons ...string) string {
		i := slices.IndexFunc(reasons, func(s string) bool { return s != "" })
		if i < 0 {
			return ""
		}
		return reasons[i]
	}
	deploy := when(f.BuildOnly, "build-only")
	return []Stage{
		{Prepare, first(when(!f.HasPrepare, "no prepare section"), built, when(f.PrepareReady, "its inputs have not changed"))},
		{Build, built},
		{Test, first(when(!f.HasTest, "no test section"), built)},
		{Release, built},
		{Push, built},
		{Oneshot, first(when(!f.HasOneshot, "no oneshot procs"), deploy, when(f.SkipOneshot, "-o skip-oneshot"))},
		{Rollout, deploy},
		{Routes, deploy},
		{Ref, deploy},
	}
}

func when(cond bool, reason string) string {
	if cond {
		return reason
	}
	return ""
}

// Cluster is what a release takes from the cluster it runs on.
type Cluster struct {
	Domains       []string
	DefaultMemory int64 // bytes, where lain.yaml names none
}

// Procs turns a manifest and its image into what the rollout makes true. Foreign resolves the image a proc
// names itself.
func Procs(m *manifest.Manifest, image lain.ImageRef, c Cluster, foreign func(string) (lain.ImageRef, error)) ([]lain.ProcSpec, error) {
	var specs []lain.ProcSpec
	for _, p := range m.Procs {
		spec := lain.ProcSpec{
			Name: p.Name, Type: p.Type, Image: image,
			Entrypoint: p.Entrypoint, Cmd: p.Cmd, Env: p.Env, User: p.User, Workdir: p.Workdir,
			Instances: p.Instances, MemoryBytes: p.MemoryBytes, CPULevel: p.CPULevel, Port: p.Port,
			HealthPath: p.HealthPath, SetupTime: p.SetupTime, KillTimeout: p.KillTimeout, Deadline: p.Deadline,
			Check: check(p.ContainerHealth), SecretFiles: secretFiles(p.SecretFiles), Bypass: p.SecretFilesBypass,
		}
		if spec.Type == lain.Oneshot {
			spec.Instances, spec.Port, spec.HealthPath, spec.Check = 1, 0, "", nil
		}
		if spec.MemoryBytes == 0 {
			spec.MemoryBytes = c.DefaultMemory
		}
		if p.Image != "" {
			ref, err := foreign(p.Image)
			if err != nil {
				return nil, fmt.Errorf("image of %s: %w", p.Name, err)
			}
			spec.Image = ref
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func check(h *manifest.ContainerHealth) *lain.HealthCheck {
	if h == nil {
		return nil
	}
	return &lain.HealthCheck{Command: h.Cmd, Off: h.Off, Interval: h.Interval, Timeout: h.Timeout, Retries: h.Retries}
}

func secretFiles(files []manifest.SecretFile) []lain.SecretPath {
	var paths []lain.SecretPath
	for _, f := range files {
		paths = append(paths, lain.SecretPath(f.Path))
	}
	return paths
}

// Wants are the wishes that make a release true, its oneshot procs apart. Attempt orders them: a run writes its
// release under an even number and its return to the former one under the odd number after it.
func Wants(r lain.Release, attempt int) []lain.ProcWant {
	var wants []lain.ProcWant
	for _, spec := range r.Procs {
		if spec.Type != lain.Oneshot {
			wants = append(wants, lain.ProcWant{App: r.App, Release: r.Number, Commit: r.Commit, Spec: spec, Attempt: attempt})
		}
	}
	return wants
}

// Oneshots are the wishes for a release's oneshot procs, in the order in which they run, each as part of the
// release itself, whatever its earlier ones were.
func Oneshots(r lain.Release) []lain.ProcWant {
	var wants []lain.ProcWant
	for _, spec := range r.Procs {
		if spec.Type == lain.Oneshot {
			spec.Since = r.Number
			wants = append(wants, lain.ProcWant{App: r.App, Release: r.Number, Commit: r.Commit, Spec: spec, Attempt: Attempt(r.Run)})
		}
	}
	return wants
}

// IsOneshot reports whether a release has a oneshot proc of that name.
func IsOneshot(r lain.Release, name lain.ProcName) bool {
	p, ok := r.Proc(name)
	return ok && p.Type == lain.Oneshot
}

// NoOneshots says why a run leaves the oneshot procs of its release out; "" when it runs them.
func NoOneshots(run lain.Run) string {
	switch {
	case run.Change != nil:
		return fmt.Sprintf("a %s runs none", run.Change.Why)
	case run.SkipOneshot:
		return "-o skip-oneshot"
	}
	return ""
}

// Attempt is the number under which a run wishes for its release.
func Attempt(run int) int { return 2 * run }

// ReturnAttempt is the number under which a run takes its release back.
func ReturnAttempt(run int) int { return 2*run + 1 }

// Removed are the keys of the wishes that are none of the release's. A oneshot is wished for no longer than its
// run needs it.
func Removed(wanted []lain.ProcWant, r lain.Release) []string {
	var gone []string
	for _, w := range wanted {
		now, ok := r.Proc(w.Spec.Name)
		if w.Spec.Type == lain.Oneshot || !ok || now.Type == lain.Oneshot {
			gone = append(gone, w.Key())
		}
	}
	slices.Sort(gone)
	return gone
}

// Hosts are the host names a release answers to, sorted, each once.
func Hosts(routes []lain.Route) []string {
	var hosts []string
	for _, r := range routes {
		hosts = append(hosts, r.Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// Takeover is what remains to be done for a run whose process died.
type Takeover string

const (
	Interrupt Takeover = "interrupt" // nothing was changed: say so
	Resume    Takeover = "resume"    // its pusher was answered already: run it again from where its records are
	Abandon   Takeover = "abandon"   // there is a release, whose oneshot procs may have begun, but no rollout: stop them
	Return    Takeover = "return"    // the rollout had begun and nobody was told success: take it back
	Returned  Takeover = "returned"  // it was taken back: wait until what served does so alone, and say why
	Finish    Takeover = "finish"    // it serves: move the ref and end it
)

// TakeOver decides by the run and its own release, which is nil when none was recorded yet. A release is marked
// as failed in the transaction that makes the return, so that none is made twice.
func TakeOver(run lain.Run, release *lain.Release) Takeover {
	switch {
	case release != nil && (release.Status == lain.ReleaseServing || release.Status == lain.ReleaseReplaced):
		return Finish
	case run.Detached && (release == nil || release.Status == lain.ReleasePending):
		return Resume
	case release == nil:
		return Interrupt
	case !Rolling(run):
		return Abandon
	case release.Status == lain.ReleaseFailed:
		return Returned
	}
	return Return
}

// Own is the release that a run was for, among releases that may be of other runs; nil where it is not there. A
// return is of the run that failed, too, and is never its own.
func Own(run lain.Run, releases []lain.Release) *lain.Release {
	i := slices.IndexFunc(releases, func(r lain.Release) bool { return r.Run == run.Number && r.Why != lain.WhyReturn })
	if i < 0 {
		return nil
	}
	return &releases[i]
}

// Rolling reports whether a run has come to its rollout. Its record says so before anything is wished for.
func Rolling(run lain.Run) bool { return slices.Contains([]string{Rollout, Routes, Ref}, run.Stage) }

// Serving says in words which release serves now, the zero one where none does. Of a return it names the release
// that people knew before the failure, which is the same but for its number.
func Serving(r lain.Release) string {
	switch {
	case r.Number == 0:
		return "nothing serves yet"
	case r.Root() != r.Number:
		return fmt.Sprintf("v%d still serves, as %s", r.Root(), r.Version())
	}
	return fmt.Sprintf("%s still serves", r.Version())
}

// Missing are the instances that keep a wish from being true, for a progress line.
func Missing(wants []lain.ProcWant, seen map[lain.ProcName]lain.ProcSeen) string {
	var parts []string
	for _, w := range wants {
		s, ok := seen[w.Spec.Name]
		if !ok || s.Attempt != w.Attempt {
			parts = append(parts, fmt.Sprintf("%s 0/%d", w.Spec.Name, w.Spec.Instances))
			continue
		}
		n := 0
		for _, i := range s.Instances {
			if i.State == "running" && i.Release == w.Started() {
				n++
			}
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d", w.Spec.Name, min(n, w.Spec.Instances), w.Spec.Instances))
	}
	return strings.Join(parts, ", ")
}

// Verdict weighs what the rollout found against what was wished for. All is true when every wish is served;
// failed holds the procs that were given up.
func Verdict(wants []lain.ProcWant, seen map[lain.ProcName]lain.ProcSeen) (all bool, failed []lain.ProcSeen) {
	all = true
	for _, w := range wants {
		s, ok := seen[w.Spec.Name]
		switch {
		case !ok || s.Attempt != w.Attempt || s.State == lain.SeenRolling:
			all = false
		case s.State == lain.SeenFailed:
			all = false
			failed = append(failed, s)
		}
	}
	return all, failed
}
