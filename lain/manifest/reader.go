package manifest

import (
	"fmt"
	"strings"
	"unicode"
)

// reader turns nodes into values and writes down what it finds.
type reader struct {
	notes    *notebook
	quiet    bool // inside a section that is not served: its keys need no word of their own
	template bool // apptype: resource: scalars may be templates
}

func (r *reader) fail(at *node, hint, format string, args ...any) {
	r.notes.add(Error, at.place, fmt.Sprintf(format, args...), hint)
}

func (r *reader) warn(at *node, format string, args ...any) {
	r.notes.add(Warning, at.place, fmt.Sprintf(format, args...), "")
}

func (r *reader) later(at *node, sentence, hint string) {
	if !r.quiet {
		r.notes.add(NotServed, at.place, sentence, hint)
	}
}

// takers read the keys of a section, by their names in the table.
type takers map[string]func(key, value *node)

// section reads a map: each key that is served is handed to its taker unless its value is null, each that
// is not is told of, and then handed to its taker as well, if it has one, to be checked.
func (r *reader) section(in section, title string, v *node, take takers) {
	if v.kind == null {
		return
	}
	if v.kind != dict {
		r.fail(v, "", "%s must be a map of keys, and this is %s", title, v.kind)
		return
	}
	for _, p := range v.pairs {
		k, ok := lookup(in, p.key.text)
		switch {
		case !ok && r.notes.full(Warning): // finding out what was meant takes time
			r.notes.count[Warning]++
			continue
		case !ok:
			r.warn(p.key, "%s", unknown(in, title, p.key.text))
			continue
		case r.template && isTemplate(p.value):
			r.later(p.key, show(p.key.text)+" holds a template, which is not filled in yet: it is ignored", "")
			continue
		case k.later:
			r.later(p.key, k.notServed(p.key.text), k.hint)
		}
		read := take[k.name]
		switch {
		case read == nil:
			r.fail(p.key, "", "%s is in the table of keys, but nothing reads it: this is a mistake in Lain", show(p.key.text))
		case p.value.kind != null || isProcKey(k.name) || k.name == "build" || k.name == "appname":
			read(p.key, p.value)
		}
	}
}

// maxText bounds one value that ends up in a container's environment or arguments, in bytes (the kernel
// takes 128 KiB).
const maxText = 32 << 10

// clean says whether s has no characters that end a line or drive a terminal. A tab is a character.
func (r *reader) clean(at *node, what, s string) bool {
	if len(s) > maxText {
		r.fail(at, "", "%s has %d bytes, and at most %d are taken", what, len(s), maxText)
		return false
	}
	bad := strings.IndexFunc(s, func(c rune) bool {
		return c != '\t' && unicode.IsControl(c) || c == '\u2028' || c == '\u2029'
	})
	if bad >= 0 {
		r.fail(at, "", "%s holds a newline or another control character", what)
	}
	return bad < 0
}

// text reads a single value as it is written.
func (r *reader) text(v *node, what string) (string, bool) {
	if !v.scalar() {
		r.fail(v, "", "%s must be text, and this is %s", what, v.kind)
		return "", false
	}
	return v.text, r.clean(v, what, v.text)
}

// list gives the items of a list; what Python calls false has none. Another single value where LAIN's documents ask for a list is taken for a list
// of one, with a warning (LAIN itself took it letter by letter).
func (r *reader) list(v *node, what string) []*node {
	switch {
	case v.empty():
		return nil
	case v.kind == list:
		return v.items
	case v.kind == dict:
		r.fail(v, "Begin each item with a dash.", "%s must be a list, and this is a map", what)
		return nil
	}
	r.warn(v, "%s must be a list: this is taken for a list of one", what)
	return []*node{v}
}

// texts reads a list of single values; null items are left out.
func (r *reader) texts(v *node, what string) []*node {
	var items []*node
	for _, item := range r.list(v, what) {
		if item.kind == null {
			continue
		}
		if _, ok := r.text(item, "an item of "+what); ok {
			items = append(items, item)
		}
	}
	return items
}

// truthy reads a truth value as LAIN's parser did: what is not written as one is true unless it is empty or
// zero, "no" in quotes included. That is told of.
func (r *reader) truthy(v *node, what string) bool {
	if v.kind == boolean {
		return truth[v.text]
	}
	yes := !v.empty()
	r.warn(v, "%s must be true or false: %s is taken for %t", what, v.kind, yes)
	return yes
}

// flag reads a truth value, written as one or as text.
func (r *reader) flag(v *node, what string) bool {
	yes, ok := truth[strings.TrimSpace(v.text)]
	if !ok || !v.scalar() {
		r.fail(v, "Try: true or false", "%s must be true or false", what)
	}
	return yes
}
