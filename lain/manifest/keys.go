package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// section is a kind of map in lain.yaml; its text is how people are told of it.
type section string

const (
	top     section = "the top level"
	build   section = "build"
	prepare section = "build.prepare"
	release section = "release"
	copying section = "release.copy"
	tests   section = "test"
	proc    section = "a proc"
	health  section = "health"
	check   section = "container_healthcheck"
	options section = "container_healthcheck.options"
)

// known is a key of lain.yaml.
type known struct {
	in     section
	name   string // "web.*" stands for every key that begins with "web."
	served bool
	lost   string // of a key not served: what will not happen, where silence would be dangerous
	hint   string // of a key not served: what its absence means
}

// keys is all that lain.yaml may hold. What is served, what is warned of and what was probably meant by an
// unknown key all follow from it.
var keys = slices.Concat(
	served(top, "appname", "build", "release", "test", "web", "web.*", "worker", "worker.*", "oneshot", "oneshot.*", "proc.*"),
	served(build, "base", "prepare", "script", "build_arg"),
	served(prepare, "version", "script", "keep", "build_arg", "inputs"),
	served(release, "dest_base", "script", "copy"),
	served(copying, "src", "dest"),
	served(tests, "script"),
	served(health, "deadline"),
	served(check, "cmd", "options"),
	served(options, "interval", "timeout", "retries"),
	served(proc, "type", "image", "entrypoint", "cmd", "user", "workdir", "working_dir", "num_instances", "cpu",
		"memory", "port", "setup_time", "kill_timeout", "healthcheck", "health", "env", "mountpoint", "https_only",
		"secret_files", "secret_files_bypass", "container_healthcheck"),
	[]known{
		{in: top, name: "apptype"}, // app means nothing, resource is told of where it is read
		{in: top, name: "giturl"},
		{in: top, name: "notify"},
		{in: top, name: "use_services", hint: "The services it names cannot be reached by their names."},
		{in: top, name: "use_resources", hint: "No instance of a resource is made."},
		{in: top, name: "cron.*", lost: "it will never run"},
		{in: top, name: "portal.*", lost: "no other application can reach its service"},
		{in: top, name: "service.*", lost: "neither the proc nor its portal will run"},
		{in: build, name: "volumes", hint: "Each build begins without the files of the last one."},
		{in: proc, name: "volumes", hint: "What is written there is lost with its container."},
		{in: proc, name: "persistent_dirs", hint: "What is written there is lost with its container."},
		{in: proc, name: "cloud_volumes", hint: "What is written there is lost with its container."},
		{in: proc, name: "shared_volumes", hint: "What is written there is lost with its container."},
		{in: proc, name: "ports", hint: "Nothing listens on these ports of the cluster."},
		{in: proc, name: "logs"},
		{in: proc, name: "labels"},
		{in: proc, name: "filters"},
		{in: proc, name: "stateful"},
		{in: proc, name: "dns_search"},
		{in: proc, name: "service_name"},
		{in: proc, name: "allow_clients"},
		{in: proc, name: "portal"},
		{in: proc, name: "schedule"},
	},
)

func served(in section, names ...string) []known {
	var ks []known
	for _, name := range names {
		ks = append(ks, known{in: in, name: name, served: true})
	}
	return ks
}

// lookup finds a key of a section: by its name, or by what stands before its first dot.
func lookup(in section, name string) (known, bool) {
	stem, _, dotted := strings.Cut(name, ".")
	for _, k := range keys {
		if k.in == in && (k.name == name || dotted && k.name == stem+".*") {
			return k, true
		}
	}
	return known{}, false
}

// notServed is the sentence for a key that has no effect yet.
func (k known) notServed(name string) string {
	if k.lost != "" {
		return fmt.Sprintf("%s is not served yet: %s", show(name), k.lost)
	}
	return show(name) + " is not served yet and is ignored"
}

// unknown is the sentence for a key that is nobody's: what was probably meant, or where it belongs.
func unknown(in section, title, name string) string {
	s := fmt.Sprintf("%s has no key %s, so it is ignored", title, show(name))
	if meant := nearest(in, name); meant != "" {
		return s + ": did you mean " + meant + "?"
	}
	for _, other := range []section{top, build, prepare, release, proc} {
		if _, ok := lookup(other, name); ok {
			return fmt.Sprintf("%s: it is a key of %s", s, other)
		}
	}
	return s
}

// nearest is the key of a section that a misspelt one was meant to be, or "".
func nearest(in section, name string) string {
	if len(name) > 64 {
		return ""
	}
	stem, rest, dotted := strings.Cut(name, ".")
	best, bestDistance := "", 3
	for _, k := range keys {
		wanted, wild := strings.CutSuffix(k.name, ".*")
		if k.in != in || wild != dotted {
			continue
		}
		if d := distance(strings.ToLower(stem), wanted); d < bestDistance && 2*d < len(wanted) {
			best, bestDistance = wanted, d
		}
	}
	if best != "" && dotted && rest != "" {
		best += "." + strings.ToLower(rest)
	}
	if best == "" {
		return ""
	}
	return show(best)
}

// distance is how many letters must be put in, left out, changed or swapped with their neighbour to make b
// of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
