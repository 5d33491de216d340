package api

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"lain.internal/lain/access"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/report"
	"lain.internal/lain/runtime/disk"
	"lain.internal/lain/state"
	"lain.internal/lain/vaultbridge"
)

// Runs is the pipeline, as far as verbs need it.
type Runs interface {
	Get(context.Context, lain.AppName, int) (lain.Run, error)
	Follow(context.Context, lain.AppName, int, func([]report.Event) error) error
	Wait(context.Context, lain.AppName, int) (lain.Run, error)
	Cancel(ctx context.Context, app lain.AppName, number int, why string) error
}

// Apps makes and removes applications with all that belongs to them.
type Apps interface {
	Create(ctx context.Context, app lain.AppName, objectFormat string, by lain.Person) error
	Destroy(ctx context.Context, app lain.AppName, tell func(string)) error
	MayHaveConfig(ctx context.Context, app lain.AppName) error // its releases ask the vault for config values from now on
}

// Logs reads what containers wrote.
type Logs interface {
	Logs(context.Context, engine.LogQuery, func(engine.LogLine) error) error
}

// Machine is the engine, as far as it says what it has and what is used of it, and lets people in.
type Machine interface {
	TaskMemory(context.Context, lain.AppName) (map[string]engine.Memory, error) // by the id of the task
	Nodes(context.Context) ([]engine.Node, error)
	ForeignImages(context.Context) ([]engine.Image, error)
	Enter(context.Context, engine.Entry) (exit int, err error)
}

// OneOffs makes containers for single commands of people. image is called first, as part of the making, and names the image
// by its id in the engine; "" means that of like.
type OneOffs interface {
	OneOff(ctx context.Context, like lain.ProcWant, image func(context.Context) (id string, err error)) (task string, end func(), err error)
}

// Builds makes the image that a release was copied out of, in this machine's engine.
type Builds interface {
	BuildImage(context.Context, lain.Release, report.Reporter) (id string, err error)
}

// Rights says who may do what.
type Rights interface {
	Can(context.Context, lain.Person, access.Action, lain.AppName) error
}

// Keys manages who gets in.
type Keys interface {
	AddKey(ctx context.Context, person lain.Person, line string) (fingerprint string, err error)
	List(ctx context.Context) ([]access.Key, error)
	Remove(ctx context.Context, fingerprint string) error
}

// API carries verbs out. All fields are needed.
type API struct {
	Store   *state.Store
	Runs    Runs
	Changes Changes
	Repos   Repos
	Vault   *vaultbridge.Bridge
	Apps    Apps
	Logs    Logs
	Machine Machine
	OneOffs OneOffs
	Builds  Builds
	Rights  Rights
	Keys    Keys
	URL     func(lain.Route) string

	Certificate  func(host string) (until time.Time, ok bool) // false: none fits, or https is off
	Disks        func() []disk.Usage
	RegistryHost string // in the names of images that are no bases

	HostKeys func() []string // fingerprints of the SSH host keys
	SSHPort  int
	Cluster  lain.Cluster
	Version  string
	Logger   *slog.Logger
	Now      func() time.Time
	Draining context.Context // ends when the server stops: verbs that only watch end with it

	verbs    []verb
	apps     state.Kind[lain.App]
	releases state.Kind[lain.Release]
	runs     state.Kind[lain.Run]
	seen     state.Kind[lain.ProcSeen]
	wants    state.Kind[lain.ProcWant]
	diaries  state.Kind[lain.Diary]
	trail    state.Kind[entry]
	builds   state.Kind[lain.Build]
}

// New makes the table of verbs.
func New(a API) *API {
	a.apps = state.Of[lain.App](a.Store, lain.AppsPrefix)
	a.releases = state.Of[lain.Release](a.Store, lain.ReleasesPrefix)
	a.runs = state.Of[lain.Run](a.Store, lain.RunsPrefix)
	a.seen = state.Of[lain.ProcSeen](a.Store, lain.SeenPrefix)
	a.wants = state.Of[lain.ProcWant](a.Store, lain.ProcsPrefix)
	a.diaries = state.Of[lain.Diary](a.Store, lain.DiaryPrefix)
	a.trail = state.Of[entry](a.Store, lain.AuditPrefix)
	a.builds = state.Of[lain.Build](a.Store, lain.BuildsPrefix)
	a.verbs = a.table()
	return &a
}

// table is every verb there is. Docs and help come from it.
func (a *API) table() []verb {
	return slices.Concat([]verb{
		{name: "help", args: "[VERB...]", summary: "the verbs, or one of them with its flags", example: "help logs",
			action: access.Read, run: a.help},
		{name: "setup", summary: "what to put into ~/.ssh/config, and the host key's fingerprint", example: "setup >> ~/.ssh/config",
			action: access.Read, run: setup},
		{name: "whoami", summary: "who you are here, and by which key", example: "whoami",
			action: access.Read, run: whoami},
		{name: "apps", summary: "all applications and what serves", example: "apps",
			action: access.Read, run: apps},
		{name: "apps create", args: "APP", summary: "make an empty application (the first push does it as well)", example: "apps create hello --object-format sha256",
			action: access.CreateApp, run: appsCreate,
			flags: func(f *pflag.FlagSet) { f.String("object-format", "sha1", "of its git repository: sha1 or sha256") }},
		{name: "info", args: "APP", summary: "one application: what serves, where, by whom", example: "info hello",
			action: access.Read, run: info},
		{name: "ps", args: "APP", summary: "its instances: state, age, memory and restarts", example: "ps hello",
			detail: "MEMORY is what an instance uses now, of its limit. RESTARTS counts since the proc was last rolled out.",
			action: access.Read, run: ps},
		{name: "why", args: "APP INSTANCE", summary: "where what runs in an instance comes from", example: "why hello web.1",
			detail: "Release and who asked for it, commit, image, build and tests, base images by content, versions of secrets.",
			action: access.Read, run: why},
		{name: "releases", args: "APP", summary: "its releases, the newest first", example: "releases hello -n 5",
			action: access.Read, run: releases, flags: number("how many", 20)},
		{name: "runs", args: "APP", summary: "its runs, the newest first", example: "runs hello",
			action: access.Read, run: runs, flags: number("how many", 20)},
		{name: "runs attach", args: "APP [RUN]", summary: "follow a run from its first line (the newest one where none is named)", example: "runs attach hello r-42",
			detail: "Exits 0 if the run ends well, 1 if not. Ctrl-C leaves the run alone.",
			action: access.Read, run: runsAttach},
		{name: "runs cancel", args: "APP [RUN]", summary: "stop a run that is not being rolled out yet", example: "runs cancel hello r-42",
			action: access.Push, run: runsCancel},
		{name: "logs", args: "APP", summary: "what its instances write", example: "logs hello -f -p web -n 100",
			action: access.Read, run: logs, flags: logFlags},
		{name: "keys add", args: "[PERSON]", summary: "let a key in: the public key comes on standard input", example: "keys add alice < alice.pub",
			detail: "Without PERSON the key is added to your own.",
			action: access.ManageKeys, run: keysAdd},
		{name: "keys list", summary: "all keys and whose they are", example: "keys list",
			action: access.ManageKeys, run: keysList},
		{name: "keys rm", args: "FINGERPRINT", summary: "take a key away", example: "keys rm SHA256:...",
			action: access.ManageKeys, run: keysRm},
		{name: "destroy", args: "APP", summary: "remove an application with all that is its own; there is no way back", example: "destroy hello --confirm hello",
			action: access.DeleteApp, run: destroy,
			flags: func(f *pflag.FlagSet) { f.String("confirm", "", "the application's name once more") }},
	}, changeVerbs(), secretVerbs(), configVerbs(), activityVerbs(), placeVerbs(), machineVerbs(), eventVerbs(), enterVerbs())
}

func number(what string, n int) func(*pflag.FlagSet) {
	return func(f *pflag.FlagSet) { f.IntP("number", "n", n, what) }
}

func logFlags(f *pflag.FlagSet) {
	f.BoolP("follow", "f", false, "go on as lines come")
	f.StringP("proc", "p", "", "of one proc only")
	f.StringP("instance", "i", "", "of one instance only, as ps names it (web.1)")
	f.IntP("number", "n", 100, "how many of the newest lines; 0: all")
	f.String("since", "", sinceUsage)
	f.String("run", "", "the log of a run instead, by its number (r-42)")
}
