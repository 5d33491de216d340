package lain

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The keys of the records below /lain/<cluster>/ (DESIGN section 5). Numbers are padded so that keys
// sort as numbers do.
const (
	AppsPrefix      = "apps/"
	ReleasesPrefix  = "releases/"
	RunsPrefix      = "runs/"
	OwnersPrefix    = "owners/" // the lease of the process that drives a run
	ProcsPrefix     = "procs/"
	SeenPrefix      = "seen/"
	EndpointsPrefix = "endpoints/"
	OneshotsPrefix  = "oneshots/"
	RoutesPrefix    = "routes/"
	HostsPrefix     = "hosts/"
	BuildsPrefix    = "builds/"
	NodesPrefix     = "nodes/"
	PeoplePrefix    = "people/"
	KeysPrefix      = "keys/"
	AuditPrefix     = "audit/"
	DiaryPrefix     = "diary/"
)

// NumberKey is the key of a numbered record of an application: "hello/0000000012".
func NumberKey(app AppName, n int) string { return fmt.Sprintf("%s/%010d", app, n) }

// ProcKey is the key of a record of one proc: "hello/web".
func ProcKey(app AppName, proc ProcName) string { return string(app) + "/" + string(proc) }

// oneshotMark ends the keys of wishes for oneshot procs, and of what was seen of them. No proc's name holds a
// dot, so that a oneshot never takes the place of a proc of its name that serves: a proc may change its type.
const oneshotMark = ".oneshot"

// OneshotKey is the key of a wish for a oneshot proc: "hello/migrate.oneshot".
func OneshotKey(app AppName, proc ProcName) string { return ProcKey(app, proc) + oneshotMark }

// SplitProcKey takes a key of procs/ or seen/ apart; ok is false for one that names no proc.
func SplitProcKey(key string) (app AppName, proc ProcName, oneshot, ok bool) {
	a, p, _ := strings.Cut(key, "/")
	p, oneshot = strings.CutSuffix(p, oneshotMark)
	app, err := ParseAppName(a)
	proc, err2 := ParseProcName(p)
	return app, proc, oneshot, err == nil && err2 == nil
}

// App is an application. Key: apps/<name>.
type App struct {
	Name         AppName   `json:"name"`
	DeployBranch string    `json:"deploy_branch,omitempty"` // "" until the first push settles it
	ObjectFormat string    `json:"object_format"`           // sha1 or sha256
	Created      time.Time `json:"created"`
	By           Person    `json:"by"`
	Serving      int       `json:"serving,omitempty"` // the release that serves; 0: none yet
	LastRelease  int       `json:"last_release,omitempty"`
	LastRun      int       `json:"last_run,omitempty"`
	Config       bool      `json:"config,omitempty"` // config values may have been set: releases ask the vault for them
}

// ReleaseStatus is where a release stands.
type ReleaseStatus string

const (
	ReleasePending  ReleaseStatus = "pending"  // recorded, being rolled out
	ReleaseServing  ReleaseStatus = "serving"  // the one that serves
	ReleaseReplaced ReleaseStatus = "replaced" // served until a later one did
	ReleaseFailed   ReleaseStatus = "failed"   // never served; all its procs were taken back
)

// Release is an immutable version of an application on a cluster; only Status, Reason and Ended change.
// Key: releases/<app>/%010d.
type Release struct {
	App     AppName       `json:"app"`
	Number  int           `json:"number"`
	Commit  Commit        `json:"commit"`
	Tree    string        `json:"tree"`
	Image   ImageRef      `json:"image"`
	Procs   []ProcSpec    `json:"procs"`
	Routes  []Route       `json:"routes"`
	Run     int           `json:"run"`
	By      Person        `json:"by"`
	Created time.Time     `json:"created"`
	Ended   time.Time     `json:"ended,omitzero"`
	Why     Why           `json:"why"`
	From    int           `json:"from,omitempty"` // the release it was made of; 0: a push
	Forced  bool          `json:"forced,omitempty"`
	Branch  string        `json:"branch"`
	Status  ReleaseStatus `json:"status"`
	Reason  string        `json:"reason,omitempty"` // of a failed one
	Ban     *Ban          `json:"ban,omitempty"`    // nil: it may be released again

	// Sizes are what people scaled otherwise than lain.yaml says; later releases inherit them.
	Sizes map[ProcName]Size `json:"sizes,omitempty"`
}

// Why is what a release, or the run that makes it, was asked for.
type Why string

const (
	WhyPush     Why = "push"
	WhyRollback Why = "rollback" // an earlier release again
	WhyRedeploy Why = "redeploy" // what serves, with new containers and the newest secrets
	WhyRestart  Why = "restart"  // what serves, with new containers of some procs
	WhyScale    Why = "scale"    // what serves, in another size
	WhySecrets  Why = "secrets"  // what serves, with the newest secret files and config values
	WhyReturn   Why = "return"   // what served, again, since the run's own release failed; nobody asks for it
)

// Ban keeps a release from being released again.
type Ban struct {
	Reason string    `json:"reason"`
	By     Person    `json:"by"`
	At     time.Time `json:"at"`
}

// Change is what a run does that is no push: it makes a new release of one that there is.
type Change struct {
	Why   Why               `json:"why"`
	From  int               `json:"from,omitempty"`  // the release it is made of; 0: the one that serves when its turn comes
	Procs []ProcName        `json:"procs,omitempty"` // of a restart; none: all
	Sizes map[ProcName]Size `json:"sizes,omitempty"` // of a scale; a zero Size: back to what lain.yaml says

	OldSecrets bool `json:"old_secrets,omitempty"` // of a rollback: with the secrets and config that From had
}

// Root is the number of the release that r is but for its own number: of a return the one that it returned
// to, which is none itself; of any other release its own.
func (r Release) Root() int {
	if r.Why == WhyReturn {
		return r.From
	}
	return r.Number
}

// Version is how people see the number: v12.
func (r Release) Version() string { return fmt.Sprintf("v%d", r.Number) }

// Proc finds a proc by its name.
func (r Release) Proc(name ProcName) (ProcSpec, bool) {
	for _, p := range r.Procs {
		if p.Name == name {
			return p, true
		}
	}
	return ProcSpec{}, false
}

// ParseVersion reads "v12" or "12".
func ParseVersion(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a release: use v12 or 12", clip(s))
	}
	return n, nil
}

// ProcWant is what a proc should be. Written by the pipeline, made true by the rollout.
// Key: procs/<app>/<proc>, of a oneshot procs/<app>/<proc>.oneshot. Deleting it removes the proc from the engine.
type ProcWant struct {
	App     AppName  `json:"app"`
	Release int      `json:"release"`
	Commit  Commit   `json:"commit"`
	Spec    ProcSpec `json:"spec"`
	Attempt int      `json:"attempt"` // grows with each write, so that a return to an old release is a new wish
}

// Key is that of the wish's record, and of what is seen of it.
func (w ProcWant) Key() string {
	if w.Spec.Type == Oneshot {
		return OneshotKey(w.App, w.Spec.Name)
	}
	return ProcKey(w.App, w.Spec.Name)
}

// Started is the release that the wish's containers are started for. It is older than Release where the proc
// has not changed since.
func (w ProcWant) Started() int {
	if w.Spec.Since > 0 {
		return w.Spec.Since
	}
	return w.Release
}

// SeenState is what the rollout found of a wish.
type SeenState string

const (
	SeenRolling SeenState = "rolling" // on its way
	SeenServing SeenState = "serving" // every wanted instance is healthy and no older one is left wanted; a oneshot has ended with 0
	SeenFailed  SeenState = "failed"  // given up; Failure says why. What served before still does, where the engine kept it
)

// How a oneshot came to its end, in its record of oneshots/.
const (
	SeenEnded   SeenState = "ended"   // with exit code 0
	SeenStopped SeenState = "stopped" // by a person, a newer push or a restart of the server
)

// ProcSeen is what is. Written by the rollout. Key: seen/<app>/<proc>, of a oneshot seen/<app>/<proc>.oneshot.
//
// The pipeline writes how a oneshot ended the last time in this form as well. Key: oneshots/<app>/<proc>.
type ProcSeen struct {
	App       AppName        `json:"app"`
	Proc      ProcName       `json:"proc"`
	Release   int            `json:"release"`
	Attempt   int            `json:"attempt"` // of the ProcWant this answers
	State     SeenState      `json:"state"`
	Reason    string         `json:"reason,omitempty"` // one line
	Failure   *Failure       `json:"failure,omitempty"`
	Instances []InstanceSeen `json:"instances,omitempty"`
	Crashing  *Crashing      `json:"crashing,omitempty"` // nil: it does not crash again and again
	Begun     time.Time      `json:"begun,omitzero"`     // of a oneshot: when the engine was asked for it, which is done once only
	At        time.Time      `json:"at"`
}

// Crashing says that no instance of a proc runs, because its containers end again and again after the verdict. It
// stays until an instance has run well for a while.
type Crashing struct {
	Since    time.Time     `json:"since"`  // the first of these ends
	Last     time.Time     `json:"last"`   // the newest of them
	Times    int           `json:"times"`  // ends of all instances together
	Reason   string        `json:"reason"` // of the newest: "ended with exit code 1"
	ExitCode *int          `json:"exit_code,omitempty"`
	OOM      bool          `json:"oom,omitempty"`
	Delay    time.Duration `json:"delay"`         // nanoseconds from an end to the next try
	Runs     time.Time     `json:"runs,omitzero"` // since when an instance runs again, not yet for long; zero: none does
}

// StoppingState is that of an instance which still runs and has been told to end, or will be in a moment.
const StoppingState = "stopping"

// UnwellState is that of an instance which runs and whose last health probe failed: the router passes it by while
// another one is well.
const UnwellState = "unwell"

// InstanceSeen is one container of a proc, the newest of its slot first.
type InstanceSeen struct {
	Number  int       `json:"number"`  // 1..N
	Task    string    `json:"task"`    // engine id
	Release int       `json:"release"` // that it was started for
	Node    string    `json:"node,omitempty"`
	State   string    `json:"state"` // the engine's word (running, starting, failed, ...), StoppingState or UnwellState
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Failed  int       `json:"failed,omitempty"` // containers of this slot that failed under this wish
	Address string    `json:"address,omitempty"`
}

// Failure is the evidence of why an instance did not come up, kept with the run.
type Failure struct {
	Proc      ProcName `json:"proc"`
	Instance  int      `json:"instance"`
	Sentence  string   `json:"sentence"` // "web is not healthy after 30s"
	ExitCode  *int     `json:"exit_code,omitempty"`
	Signal    string   `json:"signal,omitempty"`
	OOM       bool     `json:"oom,omitempty"`
	Memory    int64    `json:"memory_bytes,omitempty"` // the limit it ran under
	LastProbe string   `json:"last_probe,omitempty"`   // what was asked, and its answer
	Hint      string   `json:"hint,omitempty"`         // lain.yaml key that would help
	LogTail   []string `json:"log_tail,omitempty"`     // at most 30 lines
}

// Endpoints are the addresses of a proc that may get requests now. Written by the rollout, read by the
// router. Key: endpoints/<app>/<proc>.
type Endpoints struct {
	App       AppName  `json:"app"`
	Proc      ProcName `json:"proc"`
	Addresses []string `json:"addresses"` // host:port, sorted
}

// AppRoutes is what the router should serve for an application. Written by the pipeline.
// Key: routes/<app>.
type AppRoutes struct {
	App     AppName `json:"app"`
	Release int     `json:"release"`
	Routes  []Route `json:"routes"`
}

// RouterSeen says how far a node's router is. Key: nodes/<node>/router.
type RouterSeen struct {
	Node     string            `json:"node"`
	Revision int64             `json:"revision"`          // of the store: all routes and endpoints up to here are applied or refused
	Refused  map[string]string `json:"refused,omitempty"` // application to reason
	// Certificates says what is to be done about them: name of its files, or their folder, to a sentence.
	Certificates map[string]string `json:"certificates,omitempty"`
	At           time.Time         `json:"at"`
}

// HostClaim gives a host name to one application. Key: hosts/<host>.
type HostClaim struct {
	Host string  `json:"host"`
	App  AppName `json:"app"`
}

// RunState is where a run stands.
type RunState string

const (
	RunQueued      RunState = "queued"
	RunRunning     RunState = "running"
	RunDone        RunState = "done"        // its release serves, or it was asked to build only and did
	RunFailed      RunState = "failed"      // refused by a stage
	RunCancelled   RunState = "cancelled"   // by a person, or because the pusher went away
	RunSuperseded  RunState = "superseded"  // by a newer push
	RunInterrupted RunState = "interrupted" // its process died before the rollout
)

// Ended reports whether a run will not move any more.
func (s RunState) Ended() bool { return s != RunQueued && s != RunRunning }

// Run is one passage through the pipeline. Key: runs/<app>/%010d. Its log is a file beside the store.
type Run struct {
	App       AppName       `json:"app"`
	Number    int           `json:"number"`
	Commit    Commit        `json:"commit"`
	Ref       string        `json:"ref"` // refs/heads/main
	By        Person        `json:"by"`
	State     RunState      `json:"state"`
	Stage     string        `json:"stage,omitempty"` // the last one begun
	Stages    []StageRecord `json:"stages,omitempty"`
	Release   int           `json:"release,omitempty"`
	Detached  bool          `json:"detached,omitempty"` // its pusher was answered already: it goes on without one
	BuildOnly bool          `json:"build_only,omitempty"`
	Forced    bool          `json:"forced,omitempty"`
	Change    *Change       `json:"change,omitempty"` // nil: a push
	Old       Commit        `json:"old,omitempty"`    // what the pusher saw on the branch
	Former    Commit        `json:"former,omitempty"` // what the deploy branch named before, once it was moved
	Reason    string        `json:"reason,omitempty"` // why it did not end as done, one sentence
	Failures  []Failure     `json:"failures,omitempty"`
	Created   time.Time     `json:"created"`
	Started   time.Time     `json:"started,omitzero"`
	Ended     time.Time     `json:"ended,omitzero"`
	Log       string        `json:"log"`   // path of its log, relative to the runs folder
	Owner     string        `json:"owner"` // id of the process that drives it

	SkipOneshot bool `json:"skip_oneshot,omitempty"` // its oneshot procs are left out, as the pusher asked
}

// ID is how people see the number: r-42.
func (r Run) ID() string { return fmt.Sprintf("r-%d", r.Number) }

// ParseRunID reads "r-42" or "42".
func ParseRunID(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "r-"))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a run: use r-42 or 42", clip(s))
	}
	return n, nil
}

// TestStage is the name of the stage that runs the tests.
const TestStage = "test"

// StageRecord times one stage of a run.
type StageRecord struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Skipped string    `json:"skipped,omitempty"` // why, where it was not needed
}

// Build is an image that exists, filed under what it was built from. Key: builds/<app>/<key>.
type Build struct {
	App     AppName   `json:"app"`
	Key     string    `json:"key"` // hash of tree, base digests, build args and builder version
	Commit  Commit    `json:"commit"`
	Tree    string    `json:"tree"`
	Image   ImageRef  `json:"image"`    // release image
	Prepare string    `json:"prepare"`  // name of the prepare image used, "" if none
	Tested  bool      `json:"tested"`   // its test section passed, or it has none
	BuiltBy int       `json:"built_by"` // run
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes,omitempty"`

	Bases    []BuildBase `json:"bases,omitempty"` // that it was built on
	Warnings []string    `json:"warnings,omitempty"`
}

// BuildBase is an image that a build began from.
type BuildBase struct {
	Name string `json:"name"` // as lain.yaml or the Dockerfile has it, with its tag
	ID   string `json:"id"`   // its content in the engine, "sha256:..."
}
