package manifest

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"lain.internal/lain/lain"
)

// build reads the section of that name.
func (r *reader) build(key, v *node) Build {
	b := Build{Line: key.line}
	var target *node
	r.section(build, "build", v, takers{
		"base":      func(_, v *node) { b.Base, b.BaseLine = r.image(v, "build.base"), v.line },
		"script":    func(_, v *node) { b.Script = r.scripts(v, "build.script") },
		"build_arg": func(_, v *node) { b.Args = r.buildArgs(v, "build.build_arg") },
		"prepare":   func(k, v *node) { b.Prepare = r.prepare(k, v) },
		"volumes":   func(_, v *node) { b.Volumes = r.buildVolumes(v) },

		"secrets":    func(_, v *node) { b.Secrets = r.buildSecrets(v) },
		"dockerfile": func(k, v *node) { b.Dockerfile, b.DockerfileLine = r.inTree(v, "build.dockerfile"), k.line },
		"target":     func(k, v *node) { target, b.Target = k, r.target(v) },
	})
	if b.DockerfileLine != 0 {
		r.notBesideDockerfile(v)
		return b
	}
	if target != nil {
		r.fail(target, "Try: dockerfile: Dockerfile", "build.target is a stage of a Dockerfile, and there is no build.dockerfile")
	}
	if b.BaseLine == 0 && (v.kind == dict || v.kind == null) {
		r.fail(key, "Name the image the build begins from. Try: base: golang:1.26", "build has no base")
	}
	return b
}

var preparedVersion = regexp.MustCompile(`^[a-zA-Z0-9]{1,64}$`)

// prepare reads build.prepare; a list is its old form, holding the scripts alone.
func (r *reader) prepare(key, v *node) *Prepare {
	p := &Prepare{Line: key.line}
	if v.kind == list {
		p.Script = r.scripts(v, "build.prepare")
		return p
	}
	r.section(prepare, "build.prepare", v, takers{
		"version":   func(_, v *node) { p.Version = r.version(v) },
		"script":    func(_, v *node) { p.Script = r.scripts(v, "build.prepare.script") },
		"keep":      func(_, v *node) { p.Keep = r.keep(v) },
		"build_arg": func(_, v *node) { p.Args = r.buildArgs(v, "build.prepare.build_arg") },
		"inputs":    func(_, v *node) { p.Inputs = r.inputs(v) },
	})
	return p
}

// version reads what LAIN made of it with Python's str(): 0400 is 256 and yes is True, there as here.
func (r *reader) version(v *node) string {
	s := strings.TrimSpace(v.text)
	switch {
	case v.kind == integer:
		r.odd(v, "build.prepare.version")
		s = strconv.FormatInt(v.number, 10)
	case v.kind == boolean:
		s = map[bool]string{true: "True", false: "False"}[truth[v.text]]
	}
	if v.kind == fraction || v.kind == date || !preparedVersion.MatchString(s) {
		r.fail(v, "Quoting does not help: leave out the dots and dashes. Try: version: 20160913",
			"build.prepare.version is made of letters and digits only, and this is %s", show(v.text))
		return ""
	}
	return s
}

// keep reads the names that survive the prepare scripts.
func (r *reader) keep(v *node) []string {
	var names []string
	for _, item := range r.texts(v, "build.prepare.keep") {
		name := strings.TrimSuffix(strings.TrimSpace(item.text), "/")
		if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
			r.warn(item, "build.prepare.keep takes names at the top of the tree, so %s keeps nothing", show(item.text))
			continue
		}
		names = append(names, name)
	}
	return names
}

// inputs reads paths of the tree.
func (r *reader) inputs(v *node) []string {
	var paths []string
	for _, item := range r.texts(v, "build.prepare.inputs") {
		if p := r.inTree(item, "build.prepare.inputs"); p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// inTree reads the path of a file in the application's tree; "" after an error.
func (r *reader) inTree(v *node, what string) string {
	s, ok := r.text(v, what)
	if !ok {
		return ""
	}
	p := path.Clean(strings.TrimSpace(s))
	if p == "." || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") {
		r.fail(v, "Try: package-lock.json, or docker/Dockerfile", "%s takes paths inside the tree, and this is %s", what, show(s))
		return ""
	}
	return p
}

var stagePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// target reads the name, or the number, of a stage of a Dockerfile.
func (r *reader) target(v *node) string {
	s, ok := r.text(v, "build.target")
	if ok && !stagePattern.MatchString(s) {
		r.fail(v, "Try: target: release", "build.target must be the name of a stage, and this is %s", show(s))
		return ""
	}
	return s
}

// notBesideDockerfile refuses what a Dockerfile says itself.
func (r *reader) notBesideDockerfile(section *node) {
	for _, key := range []struct{ name, hint string }{
		{"base", "Its FROM says it."}, {"prepare", "Its first stages and its cache do the same."}, {"script", "Its RUN says it."},
		{"volumes", "Write it there: RUN --mount=type=cache,target=PATH COMMAND"},
	} {
		if v := section.get(key.name); v != nil && v.kind != null {
			r.fail(v, key.hint, "build.%s cannot be used together with build.dockerfile", key.name)
		}
	}
	if v := section.get("secrets"); v != nil {
		for _, item := range v.items {
			if target := item.get("target"); target != nil {
				r.fail(target, "Write it there: RUN --mount=type=secret,id=NAME,target=PATH COMMAND", "build.secrets.target cannot be used together with build.dockerfile")
			}
		}
	}
}

// notReleased refuses a release section beside a Dockerfile, whose last stage is what is released.
func (r *reader) notReleased(m *Manifest, root *node) {
	if m.Build.DockerfileLine != 0 && m.Release != nil {
		r.fail(root.get("release"), "What is released is the stage that build.target names, or the last one.", "release cannot be used together with build.dockerfile")
	}
}

// scripts reads shell lines, verbatim. They may hold newlines and tabs, and nothing else below a space.
func (r *reader) scripts(v *node, what string) []string {
	var lines []string
	for _, item := range r.list(v, what) {
		switch {
		case item.kind == null || item.scalar() && strings.TrimSpace(item.text) == "":
		case !item.scalar():
			r.fail(item, "Quote the whole line: a colon followed by a space makes a map of it.",
				"an item of %s must be a line of shell, and this is %s", what, item.kind)
		case strings.ContainsFunc(item.text, func(c rune) bool { return c != '\n' && c != '\t' && unicode.IsControl(c) }):
			r.fail(item, "", "an item of %s holds a control character", what)
		default:
			lines = append(lines, item.text)
		}
	}
	return lines
}

// release reads the section of that name. One that says nothing is none.
func (r *reader) release(key, v *node) *Release {
	rel := &Release{Line: key.line}
	var copied *node
	r.section(release, "release", v, takers{
		"dest_base": func(_, v *node) {
			if !v.empty() {
				rel.DestBase, rel.DestBaseLine = r.image(v, "release.dest_base"), v.line
			}
		},
		"script": func(_, v *node) { rel.Script = r.scripts(v, "release.script") },
		"copy":   func(k, v *node) { copied, rel.Copy = k, r.copies(v) },
	})
	if len(rel.Copy) > 0 && rel.DestBaseLine == 0 {
		r.fail(copied, "Name the image to copy onto. Try: dest_base: debian:stable-slim", "release.copy needs a release.dest_base")
	}
	if len(rel.Copy) == 0 && len(rel.Script) == 0 && rel.DestBaseLine == 0 {
		return nil
	}
	return rel
}

func (r *reader) copies(v *node) []Copy {
	var copies []Copy
	for _, item := range r.list(v, "release.copy") {
		if c, ok := r.copy(item); ok {
			copies = append(copies, c)
		}
	}
	return copies
}

// copy reads "path" or {src, dest}; anything else is ignored, as LAIN did, but not in silence.
func (r *reader) copy(v *node) (c Copy, ok bool) {
	switch v.kind {
	case text:
		c.Src, ok = r.path(v, "an item of release.copy")
	case dict:
		r.section(copying, "release.copy", v, takers{
			"src":  func(_, v *node) { c.Src, ok = r.path(v, "src") },
			"dest": func(_, v *node) { c.Dest, _ = r.path(v, "dest") },
		})
		if v.get("src") == nil {
			r.fail(v, "Try: - src: /lain/app/hello", "an item of release.copy has no src")
		}
	default:
		r.warn(v, "an item of release.copy must be a path or have src and dest: %s is ignored", v.kind)
	}
	if c.Dest == "" {
		c.Dest = c.Src
	}
	return c, ok
}

// path reads a path that is not empty.
func (r *reader) path(v *node, what string) (string, bool) {
	s, ok := r.text(v, what)
	if ok && strings.TrimSpace(s) == "" {
		r.fail(v, "", "%s is empty", what)
		return "", false
	}
	return s, ok
}

// test reads the section of that name.
func (r *reader) test(key, v *node) *Test {
	t := &Test{Line: key.line}
	r.section(tests, "test", v, takers{
		"script": func(_, v *node) { t.Script = r.scripts(v, "test.script") },
	})
	if len(t.Script) == 0 {
		return nil
	}
	return t
}

var keptPath = regexp.MustCompile(`^(/[A-Za-z0-9._@+-]+)+/?$`)

// buildVolumes reads absolute paths, each once. Their letters are those that mean nothing to a glob.
func (r *reader) buildVolumes(v *node) []string {
	var paths []string
	for _, item := range r.texts(v, "build.volumes") {
		p := path.Clean(item.text)
		switch {
		case !path.IsAbs(item.text):
			r.fail(item, "Try: - /root/.cache", "build.volumes takes absolute paths, and this is %s", show(item.text))
		case !keptPath.MatchString(p) || len(p) > lain.MaxSecretPath:
			r.fail(item, "Letters, digits and ._@+- may stand between the slashes.", "build.volumes cannot keep %s", show(item.text))
		case closed(p):
			r.fail(item, "Try: - /root/.cache", "build.volumes cannot keep %s: a build needs what is there", show(p))
		case slices.Contains(paths, p):
			r.warn(item, "build.volumes names %s twice", show(p))
		default:
			paths = append(paths, p)
		}
	}
	return paths
}

// closed are directories that hold the system's files, or those of the commit.
func closed(p string) bool {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return p == "/" || p == "/lain" || p == appRoot
}

// notWith refuses build.volumes beside release.script, as LAIN did.
func (r *reader) notWith(root *node) {
	b, rel := root.get("build"), root.get("release")
	if b == nil || rel == nil {
		return
	}
	volumes, script := b.get("volumes"), rel.get("script")
	if volumes == nil || script == nil || len(volumes.items) == 0 || !slices.ContainsFunc(script.items, (*node).written) {
		return
	}
	r.fail(volumes, "", "build.volumes cannot be used together with release.script")
}

func (n *node) written() bool { return n.kind != null }
