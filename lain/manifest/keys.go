package manifest

import (
	"fmt"
	"strings"
)

// section is a kind of map in lain.yaml; its text is how people are told of it.
type section string

const (
	top      section = "the top level"
	build    section = "build"
	prepare  section = "build.prepare"
	secret   section = "build.secrets"
	release  section = "release"
	copying  section = "release.copy"
	tests    section = "test"
	resource section = "use_resources"
	proc     section = "a proc"
	health   section = "health"
	check    section = "container_healthcheck"
	options  section = "container_healthcheck.options"
	volume   section = "a volume"
	backup   section = "a backup"
	cloud    section = "cloud_volumes"
	stream   section = "ports"
)

// known is a key of lain.yaml.
type known struct {
	in       section
	name     string // "web.*" stands for every key that begins with "web."; "*" for any
	takes    shape  // the values, as JSON Schema
	about    string // what it says, one sentence without a full stop
	required bool
	instead  string // of a required key: another one that may stand in its place
	later    bool   // it is read and checked, and not served yet
	lost     string // of a key not served: what will not happen, where silence would be dangerous
	hint     string // of a key not served: what its absence means
}

// keys is all that lain.yaml may hold. What is served, what is warned of, what was probably meant by an
// unknown key, and the schema for editors all follow from it.
var keys = []known{
	{in: top, name: "appname", takes: word(appPattern), required: true, about: "the name of the application and of its host"},
	{in: top, name: "apptype", takes: oneOf("app", "resource"), about: "resource makes it a template: others get instances of it"},
	{in: top, name: "giturl", takes: scalars, later: true, about: "where the source is kept"},
	{in: top, name: "build", takes: ref(build), required: true, about: "how the build image is made"},
	{in: top, name: "release", takes: ref(release), about: "how the released image is made from the build image"},
	{in: top, name: "test", takes: ref(tests), about: "how the build image is tested"},
	{in: top, name: "notify", takes: anyMap, later: true, about: "where news of the application go: slack, bearychat"},
	{in: top, name: "use_services", takes: mapOf(oneOrMore(scalars)), later: true, about: "services of other applications: application to names of services",
		hint: "The services it names cannot be reached by their names."},
	{in: top, name: "use_resources", takes: mapOf(ref(resource)), later: true, about: "instances of template applications, with their values",
		hint: "No instance of a resource is made."},
	{in: top, name: "web", takes: ref(proc), about: "short for web.web"},
	{in: top, name: "web.*", takes: ref(proc), about: "a proc that answers HTTP"},
	{in: top, name: "worker", takes: ref(proc), about: "short for worker.worker"},
	{in: top, name: "worker.*", takes: ref(proc), about: "a proc that runs on"},
	{in: top, name: "oneshot", takes: ref(proc), about: "short for oneshot.oneshot"},
	{in: top, name: "oneshot.*", takes: ref(proc), about: "a proc that runs to its end before the others of a release start"},
	{in: top, name: "proc.*", takes: ref(proc), about: "a proc of the type it names"},
	{in: top, name: "service.*", takes: ref(proc), about: "a proc, and the portal through which other applications reach it"},
	{in: top, name: "portal", takes: ref(proc), later: true, lost: "no other application can reach its service", about: "short for portal.portal"},
	{in: top, name: "portal.*", takes: ref(proc), later: true, lost: "no other application can reach its service", about: "the way into a service for other applications"},
	{in: top, name: "cron", takes: ref(proc), later: true, lost: "it will never run", about: "short for cron.cron"},
	{in: top, name: "cron.*", takes: ref(proc), later: true, lost: "it will never run", about: "a proc that runs to its end at the times of its schedule"},

	{in: build, name: "base", takes: scalars, required: true, instead: "dockerfile", about: "the image the build begins from"},
	{in: build, name: "prepare", takes: either(ref(prepare), scripts), about: "what is kept from one push to the next"},
	{in: build, name: "script", takes: scripts, about: "lines of shell, each in a shell of its own in /lain/app"},
	{in: build, name: "build_arg", takes: listOf(word(argPattern)), about: "NAME=VALUE for the scripts"},
	{in: build, name: "volumes", takes: listOf(word(keptPath.String())), about: "absolute paths whose files are kept from build to build"},
	{in: build, name: "secrets", takes: listOf(either(scalars, ref(secret))), about: "secrets that the scripts of prepare and build see as files in memory"},
	{in: build, name: "dockerfile", takes: scalars, about: "the path of a Dockerfile to build with, in place of base, prepare and script"},
	{in: build, name: "target", takes: scalars, about: "the stage of the Dockerfile to build"},

	{in: prepare, name: "version", takes: shape{"type": []string{"string", "integer", "boolean"}, "pattern": `^\s*[a-zA-Z0-9]{1,64}\s*$`}, about: "a word that makes it anew when it changes"},
	{in: prepare, name: "script", takes: scripts, about: "lines of shell, each in a shell of its own in /lain/app"},
	{in: prepare, name: "keep", takes: listOf(scalars), about: "names at the top of the tree that stay after the scripts"},
	{in: prepare, name: "build_arg", takes: listOf(word(argPattern)), about: "NAME=VALUE for the scripts"},
	{in: prepare, name: "inputs", takes: listOf(scalars), about: "paths of the tree that make it anew when they change; by default the lock files"},

	{in: secret, name: "name", takes: word(secretPattern), required: true, about: "the name of the secret"},
	{in: secret, name: "target", takes: word("^/"), about: "the file the scripts see; by default /run/secrets/NAME"},

	{in: release, name: "dest_base", takes: scalars, about: "the image to copy onto"},
	{in: release, name: "script", takes: scripts, about: "lines of shell that run on the build image before anything is copied"},
	{in: release, name: "copy", takes: listOf(either(scalars, ref(copying))), about: "what is copied from the build image"},
	{in: copying, name: "src", takes: scalars, required: true, about: "a path of the build image; globs and $NAMES count"},
	{in: copying, name: "dest", takes: scalars, about: "where it goes; by default src"},
	{in: tests, name: "script", takes: scripts, about: "lines of shell that run on the build image"},

	{in: resource, name: "services", takes: oneOrMore(scalars), required: true, about: "names of the services that are used"},
	{in: resource, name: "*", takes: shape{}, about: "a value for the template"},

	{in: proc, name: "type", takes: oneOf(procTypes...), about: "counts in proc.NAME and service.NAME only"},
	{in: proc, name: "image", takes: scalars, about: "an image to run in place of the released one"},
	{in: proc, name: "entrypoint", takes: commands, about: "in place of the image's own"},
	{in: proc, name: "cmd", takes: commands, about: "the command; text is split at white space, without quotes"},
	{in: proc, name: "env", takes: listOf(word(`^[^=\s]([^=]*[^=\s])?=`)), about: "NAME=VALUE; no place for secrets"},
	{in: proc, name: "user", takes: scalars, about: "user or user:group"},
	{in: proc, name: "workdir", takes: word("^(/|$)"), about: "an absolute path"},
	{in: proc, name: "working_dir", takes: word("^(/|$)"), about: "the same as workdir, which wins"},
	{in: proc, name: "dns_search", takes: listOf(scalars), later: true, about: "domains in which names are looked up"},
	{in: proc, name: "num_instances", takes: numbers(0, maxInstances), about: "how many run at once"},
	{in: proc, name: "cpu", takes: numbers(0, maxCPULevel), about: "a share of the machine; 0: no limit"},
	{in: proc, name: "memory", takes: sizes, about: "the limit of memory: 256m, 1.5g"},
	{in: proc, name: "port", takes: shape{"type": []string{"integer", "string", "object", "array"}}, about: "the port it listens on; web: 80"},
	{in: proc, name: "ports", takes: shape{"type": []string{"string", "object"}}, later: true, about: "ports of the cluster that lead to it: SRC:DST/PROTOCOL",
		hint: "Nothing listens on these ports of the cluster."},
	{in: proc, name: "labels", takes: oneOrMore(word(`^[\s\S]*:`)), later: true, about: "KEY:VALUE for its containers"},
	{in: proc, name: "filters", takes: oneOrMore(word(filterPattern.String())), later: true, about: "on which nodes it may run"},
	{in: proc, name: "stateful", takes: truths, later: true, about: "never moved from a lost node by itself"},
	{in: proc, name: "setup_time", takes: times, about: "how long it takes to start, 0 to 120 seconds"},
	{in: proc, name: "kill_timeout", takes: times, about: "from SIGTERM to SIGKILL, 10 to 60 seconds"},
	{in: proc, name: "healthcheck", takes: scalars, about: "the path of a URL that answers when it is healthy"},
	{in: proc, name: "container_healthcheck", takes: ref(check), about: "a command that tells whether it is healthy"},
	{in: proc, name: "health", takes: ref(health), about: "when an instance is healthy, and how long it may take"},
	{in: proc, name: "volumes", takes: listOf(either(scalars, mapOf(ref(volume)))), later: true, about: "directories and files that outlive a container",
		hint: "What is written there is lost with its container."},
	{in: proc, name: "persistent_dirs", takes: listOf(either(scalars, mapOf(ref(volume)))), later: true, about: "the same as volumes, and wins",
		hint: "What is written there is lost with its container."},
	{in: proc, name: "cloud_volumes", takes: ref(cloud), later: true, about: "directories on storage that all nodes share",
		hint: "What is written there is lost with its container."},
	{in: proc, name: "shared_volumes", takes: mapOf(listOf(scalars)), later: true, about: "SOURCE:TARGET of a storage that applications share",
		hint: "What is written there is lost with its container."},
	{in: proc, name: "logs", takes: listOf(word("^[^/]")), later: true, about: "files below /lain/logs that are collected"},
	{in: proc, name: "secret_files", takes: listOf(scalars), about: "files from the vault; relative ones are below /lain/app"},
	{in: proc, name: "secret_files_bypass", takes: truths, about: "deploy although the vault lacks some of them"},
	{in: proc, name: "mountpoint", takes: listOf(scalars), about: "hosts and paths it answers at"},
	{in: proc, name: "https_only", takes: truths, about: "plain HTTP is redirected"},
	{in: proc, name: "service_name", takes: scalars, about: "of a portal: the service it leads to"},
	{in: proc, name: "allow_clients", takes: oneOrMore(scalars), about: "of a portal: the applications that may use it"},
	{in: proc, name: "portal", takes: ref(proc), about: "of a service: its portal"},
	{in: proc, name: "schedule", takes: scalars, about: "of a cron proc: five fields as in crontab"},

	{in: health, name: "deadline", takes: times, about: "to become healthy after setup_time, 1 to 3600 seconds"},
	{in: health, name: "interval", takes: times, about: "from one question to the next, 1 to 3600 seconds"},
	{in: health, name: "path", takes: scalars, about: "the same as healthcheck, for any proc with a port"},
	{in: health, name: "command", takes: scalars, about: "a line of shell that ends with 0 when it is healthy"},
	{in: check, name: "cmd", takes: scalars, about: "a line of shell that ends with 0 when it is healthy; none: never asked"},
	{in: check, name: "options", takes: ref(options), about: "how often it is asked"},
	{in: options, name: "interval", takes: times, about: "from one question to the next, at least 10 seconds"},
	{in: options, name: "timeout", takes: times, about: "for an answer, at least 3 seconds"},
	{in: options, name: "retries", takes: numbers(minRetries, maxRetries), about: "failures in a row that make it unhealthy"},
	{in: volume, name: "backup_full", takes: ref(backup), about: "whole copies"},
	{in: volume, name: "backup_increment", takes: ref(backup), about: "copies of what changed"},
	{in: backup, name: "schedule", takes: scalars, about: "five fields as in crontab"},
	{in: backup, name: "expire", takes: word(agePattern.String()), about: "how long a copy is kept: a number and m, h or d"},
	{in: backup, name: "pre_run", takes: scalars, about: "a command in the container before a copy is made"},
	{in: backup, name: "post_run", takes: scalars, about: "a command in the container after a copy was made"},
	{in: cloud, name: "type", takes: oneOf("multi", "single"), about: "a directory for each instance, or one for all"},
	{in: cloud, name: "dirs", takes: listOf(scalars), about: "paths; relative ones are below /lain/app"},
	{in: stream, name: "srcport", takes: numbers(minStream, maxStream), about: "the port of the cluster"},
	{in: stream, name: "dstport", takes: numbers(1, 65535), about: "the port of the proc"},
	{in: stream, name: "proto", takes: oneOf("tcp", "udp"), about: "the protocol"},
}

// index is the table by section and name.
var index = func() map[section]map[string]known {
	byName := map[section]map[string]known{}
	for _, k := range keys {
		if byName[k.in] == nil {
			byName[k.in] = map[string]known{}
		}
		byName[k.in][k.name] = k
	}
	return byName
}()

// lookup finds a key of a section: by its name, or by what stands before its first dot.
func lookup(in section, name string) (known, bool) {
	if k, ok := index[in][name]; ok && !strings.HasSuffix(name, "*") {
		return k, true
	}
	if stem, _, dotted := strings.Cut(name, "."); dotted {
		if k, ok := index[in][stem+".*"]; ok {
			return k, true
		}
	}
	k, ok := index[in]["*"]
	return k, ok
}

// notServed is the sentence for a key that has no effect yet.
func (k known) notServed(name string) string {
	if k.lost != "" {
		return fmt.Sprintf("%s is not served yet: %s", show(name), k.lost)
	}
	return show(name) + " is not served yet and is ignored"
}
