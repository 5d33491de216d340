package propose

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"lain.internal/lain/lain/fault"
)

// goBase is the base where go.mod names no version.
const goBase = "golang:1"

var goLine = regexp.MustCompile(`(?m)^go\s+(1\.\d+)`)

func (t tree) hasGo() bool { return t.has("go.mod") }

func writeGo(t tree, d *draft) error {
	mod, err := t.read("go.mod")
	if err != nil {
		return err
	}
	d.base = goBase
	if m := goLine.FindStringSubmatch(mod); m != nil {
		d.base = "golang:" + m[1]
	}
	main, err := t.goMain(d)
	if err != nil {
		return err
	}
	bin := "/usr/local/bin/" + string(d.app)
	d.build = []string{"go build -o " + bin + " " + main}
	d.test = []string{"go test ./..."}
	d.destBase, d.copy = "debian:stable-slim", [][2]string{{bin, bin}}
	d.web, d.port = bin, 8080
	return nil
}

// goMain is the package that becomes the program: the root, or one below cmd.
func (t tree) goMain(d *draft) (string, error) {
	if t.isMain(".") {
		return ".", nil
	}
	var found []string
	entries, _ := fs.ReadDir(t, "cmd") // none: there is no such folder
	for _, e := range entries {
		if e.IsDir() && t.isMain(path.Join("cmd", e.Name())) {
			found = append(found, e.Name())
		}
	}
	if len(found) == 0 {
		return "", fault.New(fault.NotFound, "there is a go.mod, but no main package at the root or below cmd").
			WithHint("Write lain.yaml by hand: build.script builds the program, web.cmd runs it")
	}
	name := found[0]
	if slices.Contains(found, string(d.app)) {
		name = string(d.app)
	}
	if len(found) > 1 {
		d.note("Of the programs below cmd (%s) it builds %s.", strings.Join(found, ", "), name)
	}
	return "./cmd/" + name, nil
}

// isMain says whether a folder has a file of package main that is built.
func (t tree) isMain(dir string) bool {
	names, _ := fs.Glob(t, path.Join(dir, "*.go"))
	for _, name := range names {
		text, err := t.read(name)
		if err != nil || strings.HasSuffix(name, "_test.go") || strings.Contains(text, "//go:build ignore") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly)
		if err == nil && f.Name.Name == "main" {
			return true
		}
	}
	return false
}
