package propose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
)

// draft is a lain.yaml half made.
type draft struct {
	app        lain.AppName
	base       string
	dockerfile string   // its path, in place of a base and scripts
	prepare    []string // scripts
	keep       []string
	build      []string
	test       []string
	destBase   string // with copy
	copy       [][2]string
	port       int    // of web; 0: LAIN's default, 80
	web        string // its command as a shell line; empty: the image's
	workers    []procLine
	notes      []string
}

// procLine is a proc with its command.
type procLine struct{ section, command string }

func (d *draft) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// yaml is the file. It is one list of lines, hence its length.
func (d *draft) yaml() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	list := func(indent, key string, items []string) {
		if len(items) > 0 {
			line("%s%s:", indent, key)
		}
		for _, item := range items {
			line("%s  - %s", indent, scalar(item))
		}
	}
	line("appname: %s\n\nbuild:", scalar(string(d.app)))
	if d.dockerfile != "" {
		line("  dockerfile: %s", scalar(d.dockerfile))
	} else {
		line("  base: %s", scalar(d.base))
	}
	if len(d.prepare) > 0 {
		line("  prepare:")
		list("    ", "script", d.prepare)
		list("    ", "keep", d.keep)
	}
	list("  ", "script", d.build)
	if len(d.test) > 0 {
		line("\ntest:")
		list("  ", "script", d.test)
	}
	if d.destBase != "" {
		line("\nrelease:\n  dest_base: %s\n  copy:", scalar(d.destBase))
	}
	for _, c := range d.copy {
		line("    - src: %s\n      dest: %s", scalar(c[0]), scalar(c[1]))
	}
	line("\nweb:")
	if d.web != "" {
		line("  cmd: %s", command(d.web))
	}
	line("  port: %d", d.port)
	for _, w := range d.workers {
		line("\n%s:\n  cmd: %s", w.section, command(w.command))
	}
	return []byte(b.String())
}

var (
	plain     = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9 ./:_@*-]*$`)
	yamlWords = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|~|\.|\.inf|\.nan)$`)
	shellish  = regexp.MustCompile(`[^A-Za-z0-9 ./:_@=,%+-]`)
	assigned  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
)

// scalar is text as YAML, quoted where it could be read as anything else.
func scalar(s string) string {
	if plain.MatchString(s) && !yamlWords.MatchString(s) && !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && strings.TrimSpace(s) == s {
		return s
	}
	return strconv.Quote(s) // its escapes are among those of YAML's double quotes
}

// command is a line of shell as cmd: words where no shell is needed, else a shell with the line. The shell gives its
// place to a single command, so that signals reach it.
func command(line string) string {
	assigns := assigned.MatchString(line)
	if !shellish.MatchString(line) && !assigns {
		return scalar(line)
	}
	if !assigns && !strings.ContainsAny(line, ";&|<>(){}!") {
		line = "exec " + line
	}
	return "[sh, -c, " + strconv.Quote(line) + "]"
}
