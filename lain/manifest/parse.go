package manifest

import (
	"bytes"
	"errors"
	"strings"

	"lain.internal/lain/lain"
)

// Parse reads a lain.yaml. file is the name people are told. The Manifest is nil exactly when
// Findings.Err is not; warnings and keys that are not served yet come with either. Parse is safe on hostile
// bytes: the work it does is bounded.
func Parse(file string, data []byte) (*Manifest, Findings) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	src := newSource(file, data[:min(len(data), maxBytes)])
	notes := &notebook{src: src, count: map[Severity]int{}}
	root, err := grow(data, notes)
	if err != nil {
		syntax := &syntaxError{sentence: "the file is not YAML"}
		errors.As(err, &syntax)
		notes.add(Error, syntax.place, syntax.sentence, syntax.hint)
		return nil, notes.result()
	}
	m := (&reader{notes: notes}).manifest(root)
	m.src = src
	if notes.count[Error] > 0 {
		return nil, notes.result()
	}
	return m, notes.result()
}

// manifest reads the top level.
func (r *reader) manifest(root *node) *Manifest {
	m := &Manifest{}
	if root.kind == null {
		r.fail(&node{}, "Begin it with: appname: hello", "the file is empty")
		return m
	}
	r.appType(root)
	procs := &procReader{reader: r, lines: map[lain.ProcName]int{}}
	take := takers{
		"appname": func(_, v *node) { m.AppName, m.nameLine = r.appName(v), v.line },
		"build":   func(k, v *node) { m.Build = r.build(k, v) },
		"release": func(k, v *node) { m.Release = r.release(k, v) },
		"test":    func(k, v *node) { m.Test = r.test(k, v) },

		"apptype":       func(_, v *node) {}, // read before all others: it changes how they are read
		"giturl":        func(_, v *node) { m.GitURL = r.gitURL(v) },
		"notify":        func(_, v *node) { m.Notify = r.settings(v, "notify") },
		"use_services":  func(_, v *node) { m.UseServices = r.useServices(v) },
		"use_resources": func(_, v *node) { m.UseResources = r.useResources(v) },
	}
	for _, k := range keys {
		if _, taken := take[k.name]; k.in == top && !taken && isProcKey(k.name) {
			take[k.name] = procs.take
		}
	}
	r.section(top, "lain.yaml", root, take)
	if root.kind != dict {
		return m
	}
	m.Procs, m.Others, m.Template = procs.found, procs.others, r.template
	r.together(m, root)
	return m
}

// together checks what no section can check alone.
func (r *reader) together(m *Manifest, root *node) {
	if m.nameLine == 0 {
		r.fail(&node{}, "Begin lain.yaml with: appname: hello", "appname is missing")
	}
	if m.Build.Line == 0 {
		r.fail(&node{}, "Try: build: {base: \"golang:1.26\"}", "build is missing")
	}
	r.notWith(root)
	r.notReleased(m, root)
	r.rootless(m)
	if len(m.Procs) == 0 {
		r.warn(&node{}, "no proc is served: nothing will run")
	}
}

// appType tells of LAIN's template applications, and sets how scalars are read.
func (r *reader) appType(root *node) {
	v := root.get("apptype")
	switch {
	case v == nil || v.kind == null || v.text == "app":
	case v.text == "resource":
		r.template = true
		r.later(v, "apptype resource is not served yet: no application gets an instance of its own of it", "")
	default:
		r.warn(v, "apptype must be app or resource: %s is taken for app", show(v.text))
	}
}

func (r *reader) appName(v *node) lain.AppName {
	s, ok := r.text(v, "appname")
	if !ok {
		return ""
	}
	name, err := lain.ParseAppName(s)
	if err != nil {
		r.fail(v, suggestName("appname", s), "%s", err)
	}
	return name
}

func (r *reader) gitURL(v *node) string {
	if !v.scalar() {
		r.warn(v, "giturl must be text, and this is %s: it is ignored", v.kind)
		return ""
	}
	s, _ := r.text(v, "giturl")
	return s
}

// suggestName is a hint with a name near s that would do, or "".
func suggestName(key, s string) string {
	near := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
	if _, err := lain.ParseProcName(near); err != nil || near == s {
		return ""
	}
	if _, err := lain.ParseAppName(near); err != nil && key == "appname" {
		return ""
	}
	return "Try: " + key + ": " + near
}
