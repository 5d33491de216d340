package manifest

import (
	"slices"
	"strings"

	"lain.internal/lain/lain"
)

// The types of procs that are known and not served yet.
const (
	portal  lain.ProcType = "portal"
	cron    lain.ProcType = "cron"
	service lain.ProcType = "service" // of a section only: a proc of another type, and its portal
)

// servedTypes are those of the procs a Manifest holds.
var servedTypes = []lain.ProcType{lain.Web, lain.Worker, lain.Oneshot}

var procTypes = []string{string(lain.Web), string(lain.Worker), string(lain.Oneshot), string(portal), string(cron)}

// isProcKey says whether a key of the table names a section that is a proc.
func isProcKey(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	return stem == "proc" || stem == string(service) || slices.Contains(procTypes, stem)
}

// procReader reads the sections that are procs.
type procReader struct {
	*reader
	lines  map[lain.ProcName]int // where each name was taken
	found  []Proc
	others []Proc // of types that are not served
}

// maxProcs bounds what one application may run.
const maxProcs = 100

// take reads one section: web, web.api, proc.api, service.api, ...
func (r *procReader) take(key, v *node) {
	stem, name, dotted := strings.Cut(key.text, ".")
	if !dotted {
		name = stem // web is short for web.web
	}
	typ := lain.ProcType(stem)
	if stem == "proc" || typ == service {
		typ = r.innerType(v)
	}
	if len(r.lines) == maxProcs {
		r.fail(key, "Split the application.", "%s is one proc too many: at most %d are taken", show(key.text), maxProcs)
		return
	}
	p := Proc{Name: r.name(key, name), Type: typ, Line: key.line}
	was := r.quiet
	r.quiet = was || !slices.Contains(servedTypes, typ)
	if r.quiet && !was && lain.ProcType(stem) != typ {
		r.notes.add(NotServed, key.place, unservedType(key.text, typ), "")
	}
	r.proc(key, v, &p)
	r.keep(p)
	r.quiet = was
	if stem == string(service) && p.Name != "" {
		r.portal(key, v, name)
	}
}

func (r *procReader) keep(p Proc) {
	if slices.Contains(servedTypes, p.Type) {
		r.found = append(r.found, p)
		return
	}
	r.others = append(r.others, p)
}

// portal reads the inner map of a service.NAME: a portal of its own, named after it.
func (r *procReader) portal(key, v *node, name string) {
	inner := v.get("portal")
	if inner == nil || inner.kind != dict {
		r.fail(key, "Try: portal: {cmd: ./proxy, port: 8080}", "%s has no portal", show(key.text))
		return
	}
	at := &node{place: key.place, kind: text, text: string(portal) + ".portal-" + name}
	p := Proc{Name: r.name(at, "portal-"+name), Type: portal, ServiceName: name, Line: key.line}
	if !r.quiet {
		r.notes.add(NotServed, key.place, "the portal of "+show(key.text)+" is not served yet: no other application can reach its service", "")
	}
	was := r.quiet
	r.quiet = true
	r.proc(at, inner, &p)
	p.ServiceName = name
	r.keep(p)
	r.quiet = was
}

// unservedType is the sentence for a proc.X whose type is not served.
func unservedType(section string, typ lain.ProcType) string {
	k, _ := lookup(top, string(typ)+".x")
	return show(section) + ": type " + k.notServed(string(typ))
}

// innerType reads the type of a proc.X section.
func (r *procReader) innerType(v *node) lain.ProcType {
	t := v.get("type")
	if t == nil || t.kind == null {
		return lain.Worker
	}
	if !t.scalar() || !slices.Contains(procTypes, t.text) {
		r.fail(t, "Try: type: worker", "type must be one of %s, and this is %s", strings.Join(procTypes, ", "), show(t.text))
		return lain.Worker
	}
	return lain.ProcType(t.text)
}

// name checks the name of a proc and that no other section has it.
func (r *procReader) name(key *node, s string) lain.ProcName {
	name, err := lain.ParseProcName(s)
	if err != nil {
		hint := ""
		if stem, _, dotted := strings.Cut(key.text, "."); dotted {
			hint = strings.Replace(suggestName(stem, s), ": ", " ", 1)
			hint = strings.Replace(hint, stem+": ", stem+".", 1)
		}
		r.fail(key, hint, "%s: %s", show(key.text), err)
		return ""
	}
	r.claim(key, name)
	return name
}

// claim gives a name to a section; a second claim is an error. A name that is no name claims nothing.
func (r *procReader) claim(key *node, name lain.ProcName) {
	if line, taken := r.lines[name]; taken {
		r.fail(key, "The name of a proc counts once in an application, whatever its type.",
			"%s is a second proc with the name %s: the first is on line %d", show(key.text), name, line)
		return
	}
	r.lines[name] = key.line
}
