package llb

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	bk "github.com/moby/buildkit/client/llb"

	"lain.internal/lain/lain/manifest"
)

// The steps that run a shell. BuildKit gives the name back with what the step prints and how it ends.
const (
	PrepareScript = "build.prepare.script"
	PrepareClean  = "build.prepare.keep"
	BuildScript   = "build.script"
	TestScript    = "test.script"
	ReleaseScript = "release.script"
	ReleaseCopy   = "release.copy"
)

// failedMark begins the line by which a step says which of its entries failed. A person's program that
// prints it confuses only its own error message.
const failedMark = "\x1elain:failed "

// FailedEntry reads the line by which a step says which entry failed.
func FailedEntry(line string) (index int, ok bool) {
	text, ok := strings.CutPrefix(line, failedMark)
	if !ok {
		return 0, false
	}
	index, err := strconv.Atoi(text)
	return index, err == nil && index >= 0
}

// Entry is entry number i of a step as its author would recognise it, or "".
func (g Graph) Entry(step string, i int) string {
	m := g.Manifest
	var entries []string
	switch {
	case step == PrepareScript && m.Build.Prepare != nil:
		entries = m.Build.Prepare.Script
	case step == BuildScript:
		entries = m.Build.Script
	case step == TestScript && m.Test != nil:
		entries = m.Test.Script
	case step == ReleaseScript && m.Release != nil:
		entries = m.Release.Script
	case step == ReleaseCopy && m.Release != nil && i < len(m.Release.Copy):
		return m.Release.Copy[i].Src + " to " + m.Release.Copy[i].Dest
	}
	if i >= len(entries) {
		return ""
	}
	return "( " + entries[i] + " )"
}

// script joins entries as LAIN did, ( a ) && ( b ), and says at the end which one failed. The newline before
// the bracket lets an entry end in a comment or a here-document.
func script(entries []string) string {
	wrapped := make([]string, len(entries))
	for i, entry := range entries {
		wrapped[i] = "( " + entry + "\n)"
	}
	return numbered(wrapped)
}

// numbered joins commands with && and reports the first that fails by its number.
func numbered(commands []string) string {
	var b strings.Builder
	for i, command := range commands {
		if i > 0 {
			fmt.Fprintf(&b, " && lain_entry=%d && ", i)
		}
		b.WriteString(command)
	}
	fmt.Fprintf(&b, "\nset -- $? \"${lain_entry:-0}\"\n[ \"$1\" = 0 ] || printf '%s%%s\\n' \"$2\" >&2\nexit \"$1\"\n", `\036lain:failed `)
	return b.String()
}

// cleanUp removes everything from the working directory but the names that are kept, hidden files too.
func cleanUp(keep []string) string {
	kept := []string{".", ".."}
	for _, name := range keep {
		if name, _, _ = strings.Cut(name, "/"); name != "" {
			kept = append(kept, quote(name))
		}
	}
	return "for f in * .*; do\ncase \"$f\" in\n" + strings.Join(kept, "|") + ") ;;\n*) rm -rf -- \"./$f\" || exit 1 ;;\nesac\ndone\n"
}

// outDir is where copied files are collected; a mount, so that it hides nothing a build would make.
const outDir = "/.lain-release"

const copyFunctions = `into() { d=$1; shift; mkdir -p "$d" && cp -r -- "$@" "$d/"; }
named() { d=$1 n=$2; shift 2; mkdir -p "$d" || return; if [ $# -gt 1 ]; then into "$d/$n" "$@"; else cp -r -- "$1" "$d/$n"; fi; }
`

// copyOut collects what is to be copied, entry i below outDir/i, by the shell's globs and variables and cp's
// rules. A destination is data: it is quoted.
func copyOut(copies []manifest.Copy) string {
	commands := make([]string, len(copies))
	for i, c := range copies {
		slot := outDir + "/" + strconv.Itoa(i)
		if _, name := destination(c.Dest); name != "" {
			commands[i] = "named " + slot + " " + quote(name) + " " + sourceWord(c.Src)
		} else {
			commands[i] = "into " + slot + " " + sourceWord(c.Src)
		}
	}
	return copyFunctions + numbered(commands)
}

// copyOnto lays the collected files onto an image, as one layer.
func copyOnto(onto, out bk.State, copies []manifest.Copy) bk.State {
	var action *bk.FileAction
	for i, c := range copies {
		dir, _ := destination(c.Dest)
		from := "/" + strconv.Itoa(i)
		info := &bk.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}
		if action == nil {
			action = bk.Copy(out, from, dir, info)
		} else {
			action = action.Copy(out, from, dir, info)
		}
	}
	return onto.File(action, bk.WithCustomName("copy onto the release base"))
}

// destination splits a path into the directory to copy to and the name to copy as; no name means that the
// files keep theirs, as with `cp x dir/`. A relative path is below the working directory.
func destination(dest string) (dir, name string) {
	if !path.IsAbs(dest) {
		dest = Workdir + "/" + dest
	}
	last := dest[strings.LastIndexByte(dest, '/')+1:]
	if clean := path.Clean(dest); last == "" || last == "." || last == ".." {
		return clean, ""
	}
	return path.Split(path.Clean(dest))
}

// sourceWord is a word of shell in which $NAME, ${NAME} and globs work and nothing else does.
func sourceWord(src string) string {
	if !strings.HasPrefix(src, "/") && !strings.HasPrefix(src, "$") {
		src = Workdir + "/" + src
	}
	var b strings.Builder
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\'':
			b.WriteString(`\'`)
		case plain(c):
			b.WriteByte(c)
		default:
			b.WriteString("'" + string([]byte{c}) + "'")
		}
	}
	return b.String()
}

// plain are the bytes that a shell takes as they are, or that a source may use: $ { } and globs. A byte of
// UTF-8 is never special.
func plain(c byte) bool {
	return c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/._-+,:=@%${}*?[]", c) >= 0
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
