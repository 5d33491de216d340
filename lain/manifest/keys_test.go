package manifest

import (
	"strings"
	"testing"
)

// around is a file with a key of each section; %s is the key.
var around = map[section]string{
	top:      "%s:\n",
	build:    "build: {%s: }\n",
	prepare:  "build: {prepare: {%s: }}\n",
	secret:   "build: {secrets: [{%s: }]}\n",
	release:  "release: {%s: }\n",
	copying:  "release: {copy: [{%s: }]}\n",
	tests:    "test: {%s: }\n",
	resource: "use_resources: {a: {%s: }}\n",
	health:   "web: {health: {%s: }}\n",
	check:    "web: {container_healthcheck: {%s: }}\n",
	options:  "web: {container_healthcheck: {options: {%s: }}}\n",
	proc:     "web: {%s: }\n",
	volume:   "web: {volumes: [{/a: {%s: }}]}\n",
	backup:   "web: {volumes: [{/a: {backup_full: {%s: }}}]}\n",
	cloud:    "web: {cloud_volumes: {%s: }}\n",
	stream:   "web: {ports: {9500: {%s: }}}\n",
}

// Every key of the table has somebody who reads it, or is told of as not served.
func TestKeys_everyOneCounts(t *testing.T) {
	for _, k := range keys {
		name := strings.Replace(k.name, "*", "x", 1)
		_, found := Parse("lain.yaml", []byte(strings.Replace(around[k.in], "%s", name, 1)))
		told := false
		for _, f := range found {
			if strings.Contains(f.Sentence, "has no key") || strings.Contains(f.Sentence, "mistake in Lain") {
				t.Errorf("%s in %s: %s", name, k.in, f)
			}
			told = told || f.Severity != Warning && strings.HasPrefix(f.Sentence, name+" is not served yet")
		}
		if told != k.later {
			t.Errorf("%s in %s: not served is %v, told of is %v", name, k.in, k.later, told)
		}
	}
}

func TestNearest(t *testing.T) {
	cases := []struct {
		in         section
		name, want string
	}{
		{top, "appnme", "appname"}, {top, "Web", "web"}, {top, "wroker", "worker"}, {top, "woker.Mail", "worker.mail"},
		{top, "x", ""}, {top, "wxy", ""}, {proc, "xpy", ""}, {top, "zebra", ""}, {top, "one-shot", "oneshot"}, {top, strings.Repeat("w", 1000), ""},
		{proc, "num_instance", "num_instances"}, {proc, "memroy", "memory"}, {proc, "command", ""}, {proc, "envs", "env"},
		{proc, "workingdir", "working_dir"}, {build, "scripts", "script"}, {copying, "dst", "dest"}, {proc, "", ""},
	}
	for _, c := range cases {
		if got := nearest(c.in, c.name); got != c.want {
			t.Errorf("nearest(%s, %q) is %q, want %q", c.in, c.name, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	cases := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}}
	for _, c := range cases {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
