// Package llb turns a manifest into BuildKit graphs, and into the names of what they make.
//
// It is pure: values in, graphs and texts out. The images that a build begins from are given by a name that
// the engine resolves by itself; their environment is given too, so that nothing is asked of anybody.
//
// The graphs are LAIN's phases: prepare on the base, build on prepare, test and release on build. Each
// phase's script is one step, `( a ) && ( b )` in /lain/app, so each entry has a shell of its own and the
// first that fails ends it.
package llb

import (
	"os"
	"path"
	"strings"
	"time"

	bk "github.com/moby/buildkit/client/llb"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/manifest"
)

const (
	// Workdir is where the files of the commit are during a build.
	Workdir = "/lain/app"

	// ContextName is the local source that holds the files of the commit.
	ContextName = "context"

	cacheDir    = "/root/.cache"
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Scratch is the image that is empty. Only a release may begin from it.
const Scratch = "scratch"

// Image is an image that a graph begins from.
type Image struct {
	Ref  string   // as the engine knows it, or Scratch
	ID   string   // its content, "sha256:..."
	Env  []string // K=V
	User string   // that its commands run as; "": root
}

// Graph is everything that the phases of one commit are made of.
type Graph struct {
	Cluster  lain.Cluster
	App      lain.AppName
	Tree     string // git tree of the commit
	Manifest *manifest.Manifest
	Base     Image
	Prepared string // name of the prepare image; used where the manifest has a prepare section
	DestBase Image  // used where the release section names one

	Secrets map[string]string // versions of the manifest's build secrets, by name: the values are asked for by SecretID

	Dockerfile *Dockerfiled // where the manifest names one: then there are no bases and no prepare image
}

// asRoot needs no /etc/passwd in the image, as the name or the number would.
var asRoot = bk.User("")

// epoch is the time of directories that no file of the commit brings along.
var epoch = time.Unix(0, 0)

// Prepare is the base with the prepare scripts run, and of the files only what is kept.
func (g Graph) Prepare() bk.State {
	p := g.Manifest.Build.Prepare
	st := g.withContext(g.image(g.Base))
	if len(p.Script) > 0 {
		st = g.run(st, PrepareScript, script(p.Script), args(p.Args, g.Base.Env), g.kept(), g.secrets()).Root()
	}
	return g.run(st, PrepareClean, cleanUp(p.Keep), asRoot).Root()
}

// Build is what the Dockerfile makes; without one the prepare image, or the base, with the commit's files and the
// build scripts run.
func (g Graph) Build() bk.State {
	if g.Dockerfile != nil {
		return g.Dockerfile.State
	}
	from := g.Base
	if g.Manifest.Build.Prepare != nil {
		from.Ref = g.Prepared
	}
	st := g.withContext(g.image(from))
	if b := g.Manifest.Build; len(b.Script) > 0 {
		st = g.run(st, BuildScript, script(b.Script), args(b.Args, g.Base.Env), g.kept(), g.secrets()).Root()
	}
	return st
}

// Test is the build with the test scripts run, always anew; of a Dockerfile in the working directory of its image.
func (g Graph) Test() bk.State {
	if g.Manifest.Test == nil {
		return g.Build()
	}
	if g.Dockerfile != nil {
		return g.runIn(g.Build(), g.Dockerfile.Workdir(), TestScript, script(g.Manifest.Test.Script), bk.IgnoreCache).Root()
	}
	return g.run(g.Build(), TestScript, script(g.Manifest.Test.Script), bk.IgnoreCache, g.kept()).Root()
}

// Release is what goes into production: the build, its release scripts run, copied onto the base for it.
func (g Graph) Release() bk.State {
	st, r := g.Build(), g.Manifest.Release
	if r == nil {
		return st
	}
	if len(r.Script) > 0 {
		st = g.run(st, ReleaseScript, script(r.Script), g.kept()).Root()
	}
	onto := st
	if r.DestBase != "" {
		onto = g.image(g.DestBase)
	}
	if len(r.Copy) == 0 {
		return onto
	}
	step := g.run(st, ReleaseCopy, copyOut(r.Copy), asRoot)
	return copyOnto(onto, step.AddMount(outDir, bk.Scratch()), r.Copy)
}

// image begins a graph. The engine's own image of that name is taken, and nothing pulled while there is one.
func (g Graph) image(i Image) bk.State {
	st := bk.Scratch()
	if i.Ref != Scratch {
		st = bk.Image(i.Ref, bk.ResolveModePreferLocal, bk.WithCustomName("image "+i.Ref))
	}
	for _, kv := range i.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			st = st.AddEnv(k, v)
		}
	}
	if !has(i.Env, "PATH") {
		st = st.AddEnv("PATH", defaultPath)
	}
	if isRoot(i.User) {
		if !has(i.Env, "HOME") {
			st = st.AddEnv("HOME", "/root")
		}
		return st
	}
	return st.User(i.User)
}

// files are those of the commit. The source is named after the tree, so that the engine never takes files that it got
// for another tree for these: it compares by size and time, which two commits of the same second can share.
func (g Graph) files(more ...bk.LocalOption) bk.State {
	return bk.Local(ContextName, append(more, bk.SharedKeyHint("lain-"+g.Tree), bk.WithCustomName("files of the commit"))...)
}

// withContext lays the commit's files into the working directory. They belong to whom the scripts run as.
func (g Graph) withContext(st bk.State) bk.State {
	files := g.files()
	mkdir := []bk.MkdirOption{bk.WithParents(true), bk.WithCreatedTime(epoch)}
	info := &bk.CopyInfo{CopyDirContentsOnly: true}
	if !isRoot(g.Base.User) {
		owner := bk.WithUser(g.Base.User)
		mkdir = append(mkdir, owner)
		owner.SetCopyOption(info)
	}
	action := bk.Mkdir(Workdir, 0o755, mkdir...).Copy(files, "/", Workdir, info)
	return st.File(action, bk.WithCustomName("files into "+Workdir))
}

// kept are the directories that belong to the application, outlive the build and are no part of any image: the one that
// most tools keep their caches in, and build.volumes.
func (g Graph) kept() bk.RunOption {
	// BuildKit leaves a directory's id out of what it compares, so an equal step of another application would be taken for
	// this one, which ran with other directories.
	all := together{g.keep(cacheDir, g.cacheID()), bk.With(bk.AddEnv("LAIN_APPNAME", string(g.App)))}
	for _, dir := range g.Manifest.Build.Volumes {
		if dir != cacheDir {
			all = append(all, g.keep(dir, g.cacheID()+dir))
		}
	}
	return all
}

// keep is one of them. It begins with what the base holds there, under a path of its own: BuildKit takes equal layers for
// one, and then forgets what one of them had become.
func (g Graph) keep(dir, id string) bk.RunOption {
	base := g.image(g.Base).File(bk.Mkdir(path.Dir(dir), 0o700, bk.WithParents(true), bk.WithCreatedTime(epoch)))
	from, to, mode := dir[:len(dir)-1]+"["+dir[len(dir)-1:]+"]", path.Join("/volume", dir), os.FileMode(0o755) // a glob may find nothing
	if dir != cacheDir && !isRoot(g.Base.User) {                                                               // whose number only the image knows
		mode = 0o777
	}
	seed := bk.Scratch().File(bk.Mkdir(to, mode, bk.WithParents(true), bk.WithCreatedTime(epoch)).Copy(base, from, to, &bk.CopyInfo{
		CopyDirContentsOnly: true, AllowWildcard: true, AllowEmptyWildcard: true,
	}), bk.WithCustomName("cache of the base"))
	options := []bk.MountOption{bk.AsPersistentCacheDir(id, bk.CacheMountShared), bk.SourcePath(to)}
	return bk.AddMount(dir, seed, options...)
}

// SecretID is what a step asks for. The version is in it, so that a step runs again with another one, although BuildKit
// leaves values out of what it compares.
func SecretID(name, version string) string { return name + "@" + version }

// secrets are the files that scripts of the build see, in memory. Who is not root could not read root's file, and nobody
// else is in the step.
func (g Graph) secrets() bk.RunOption {
	mode := 0o400
	if !isRoot(g.Base.User) {
		mode = 0o444
	}
	var all together
	for _, s := range g.Manifest.Build.Secrets {
		all = append(all, bk.AddSecret(s.Target, bk.SecretID(SecretID(s.Name, g.Secrets[s.Name])), bk.SecretFileOpt(0, 0, mode)))
	}
	return all
}

// together are several options of a step as one.
type together []bk.RunOption

// SetRunOption is BuildKit's interface.
func (t together) SetRunOption(e *bk.ExecInfo) {
	for _, o := range t {
		o.SetRunOption(e)
	}
}

// cacheID begins the names of what an application keeps from build to build.
func (g Graph) cacheID() string { return "lain-" + string(g.Cluster) + "-" + string(g.App) }

func (g Graph) run(st bk.State, step, text string, more ...bk.RunOption) bk.ExecState {
	return g.runIn(st, Workdir, step, text, more...)
}

func (g Graph) runIn(st bk.State, dir, step, text string, more ...bk.RunOption) bk.ExecState {
	all := []bk.RunOption{bk.Args([]string{"/bin/sh", "-c", text}), bk.Dir(dir), bk.WithCustomName(step)}
	return st.Run(append(all, more...)...)
}

// args sets build arguments for one step. As in a Dockerfile, a variable of the image wins over one of the
// same name.
func args(list, env []string) bk.RunOption {
	return bk.With(func(st bk.State) bk.State {
		for _, kv := range list {
			if k, v, ok := strings.Cut(kv, "="); ok && k != "" && !has(env, k) {
				st = st.AddEnv(k, v)
			}
		}
		return st
	})
}

func has(env []string, name string) bool {
	for _, kv := range env {
		if k, _, ok := strings.Cut(kv, "="); ok && k == name {
			return true
		}
	}
	return false
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}
