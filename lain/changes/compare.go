// Package changes puts into words what differs between two releases, and what a change does.
//
// It is pure, and speaks to people only: nothing decides by what it says.
package changes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lain.internal/lain/lain"
)

// Compare says in words what differs from a to b, a line each: commit, image, procs, routes. Of environments
// only the names are told.
func Compare(a, b lain.Release) []string {
	var lines []string
	lines = differs(lines, "commit", a.Commit.Short(), b.Commit.Short())
	lines = differs(lines, "image", shortDigest(a.Image), shortDigest(b.Image))
	for _, p := range a.Procs {
		if _, ok := b.Proc(p.Name); !ok {
			lines = append(lines, fmt.Sprintf("proc %s: removed", p.Name))
		}
	}
	for _, p := range b.Procs {
		former, ok := a.Proc(p.Name)
		if !ok {
			lines = append(lines, fmt.Sprintf("proc %s: new, %s x %d", p.Name, p.Type, p.Instances))
			continue
		}
		lines = compareProcs(lines, former, p, a.Image, b.Image)
	}
	return compareRoutes(lines, a.Routes, b.Routes)
}

func differs(lines []string, what, a, b string) []string {
	if a == b {
		return lines
	}
	return append(lines, fmt.Sprintf("%s: %s -> %s", what, orNone(a), orNone(b)))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func shortDigest(r lain.ImageRef) string {
	digest := strings.TrimPrefix(r.Digest, "sha256:")
	return digest[:min(12, len(digest))]
}

// compareProcs compares what a person would look at, an image only where it is the proc's own.
func compareProcs(lines []string, a, b lain.ProcSpec, imageA, imageB lain.ImageRef) []string {
	name := string(b.Name)
	lines = differs(lines, name+" type", string(a.Type), string(b.Type))
	if a.Image != imageA || b.Image != imageB {
		lines = differs(lines, name+" image", shortDigest(a.Image), shortDigest(b.Image))
	}
	lines = differs(lines, name+" instances", fmt.Sprint(a.Instances), fmt.Sprint(b.Instances))
	lines = differs(lines, name+" memory", mebibytes(a.MemoryBytes), mebibytes(b.MemoryBytes))
	lines = differs(lines, name+" cpu", fmt.Sprint(a.CPULevel), fmt.Sprint(b.CPULevel))
	lines = differs(lines, name+" port", fmt.Sprint(a.Port), fmt.Sprint(b.Port))
	lines = differs(lines, name+" command", command(a), command(b))
	lines = differs(lines, name+" user", a.User, b.User)
	lines = differs(lines, name+" workdir", a.Workdir, b.Workdir)
	lines = differs(lines, name+" healthcheck", a.HealthPath, b.HealthPath)
	lines = differs(lines, name+" setup_time", a.SetupTime.String(), b.SetupTime.String())
	lines = differs(lines, name+" kill_timeout", a.KillTimeout.String(), b.KillTimeout.String())
	lines = compareSecrets(lines, a, b)
	if names := Names(byName(a.Env), byName(b.Env)); len(names) > 0 {
		lines = append(lines, fmt.Sprintf("%s env: %s", name, strings.Join(names, " ")))
	}
	return lines
}

// compareSecrets tells paths and versions, never values.
func compareSecrets(lines []string, a, b lain.ProcSpec) []string {
	lines = differs(lines, string(b.Name)+" config", configVersion(a.Config), configVersion(b.Config))
	for _, m := range a.Secrets {
		if versionOf(b.Secrets, m.Path) == "" {
			lines = append(lines, fmt.Sprintf("%s secret %s: removed", b.Name, m.Path))
		}
	}
	for _, m := range b.Secrets {
		lines = differs(lines, fmt.Sprintf("%s secret %s", b.Name, m.Path), versionOf(a.Secrets, m.Path), versionOf(b.Secrets, m.Path))
	}
	return lines
}

func configVersion(c *lain.ConfigMount) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("version %d", c.Version)
}

func versionOf(mounts []lain.SecretMount, path lain.SecretPath) string {
	for _, m := range mounts {
		if m.Path == path {
			return fmt.Sprintf("version %d", m.Version)
		}
	}
	return ""
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func command(p lain.ProcSpec) string {
	if p.Entrypoint == nil && p.Cmd == nil {
		return "the image's"
	}
	text, _ := json.Marshal(slices.Concat(p.Entrypoint, p.Cmd)) // of strings: cannot fail
	return string(text)
}

// Names are those that are new in now (+), gone (-) or have another value (~) than before, sorted; never a value.
func Names(before, now map[string]string) []string {
	names := []string{}
	for k, v := range now {
		old, was := before[k]
		switch {
		case !was:
			names = append(names, "+"+k)
		case old != v:
			names = append(names, "~"+k)
		}
	}
	for k := range before {
		if _, is := now[k]; !is {
			names = append(names, "-"+k)
		}
	}
	slices.SortFunc(names, func(x, y string) int { return strings.Compare(x[1:], y[1:]) })
	return names
}

func byName(entries []string) map[string]string {
	m := map[string]string{}
	for _, kv := range entries {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

func compareRoutes(lines []string, a, b []lain.Route) []string {
	for _, r := range a {
		if !slices.Contains(b, r) {
			lines = append(lines, "- "+routeText(r))
		}
	}
	for _, r := range b {
		if !slices.Contains(a, r) {
			lines = append(lines, "+ "+routeText(r))
		}
	}
	return lines
}

func routeText(r lain.Route) string {
	text := fmt.Sprintf("route %s%s -> %s", r.Host, r.Path, r.Proc)
	if r.HTTPSOnly {
		text += " (https only)"
	}
	return text
}
