package manifest

import (
	"regexp"
	"slices"
	"strings"
)

// Label is a label of a proc's containers.
type Label struct{ Key, Value string }

// labels reads KEY:VALUE, alone or in a list. The last colon is the border, and the last of equal keys wins.
func (r *reader) labels(v *node) []Label {
	var labels []Label
	for _, item := range r.words(v, "labels") {
		i := strings.LastIndexByte(item.text, ':')
		switch {
		case i < 0:
			r.fail(item, "Try: - team:web", "labels takes KEY:VALUE, and this is %s", show(item.text))
			continue
		case strings.HasPrefix(strings.TrimSpace(item.text), "lain."):
			r.fail(item, "", "labels that begin with lain. are not for applications")
			continue
		}
		l := Label{Key: item.text[:i], Value: item.text[i+1:]}
		labels = append(slices.DeleteFunc(labels, func(o Label) bool { return o.Key == l.Key }), l)
	}
	return labels
}

// filterPattern is LAIN's: what follows the first value is taken with it.
var filterPattern = regexp.MustCompile(`^(affinity|constraint):\S+(==|!=)\S+`)

// defaultFilter holds where no filter speaks of groups. Every node has that label.
const defaultFilter = "constraint:group==default"

// filters reads the filters of a proc section with LAIN's default: without the key there is the default alone,
// with an empty one there is none.
func (r *reader) filters(section *node) []string {
	v := section.get("filters")
	switch {
	case v == nil:
		return []string{defaultFilter}
	case v.empty():
		return nil
	}
	var filters []string
	grouped := false
	for _, item := range r.words(v, "filters") {
		if !filterPattern.MatchString(item.text) {
			r.fail(item, "Try: - constraint:group==default", "filters takes affinity or constraint with :KEY==VALUE or :KEY!=VALUE, and this is %s", show(item.text))
			continue
		}
		filters = append(filters, item.text)
		grouped = grouped || strings.HasPrefix(item.text, "constraint:group==") || strings.HasPrefix(item.text, "constraint:group!=")
	}
	if !grouped {
		filters = append(filters, defaultFilter)
	}
	return filters
}

// words reads text, or a list of it, where LAIN read nothing from anything else.
func (r *reader) words(v *node, what string) []*node {
	switch {
	case v.empty():
		return nil
	case v.kind == text:
		v = &node{place: v.place, kind: list, items: []*node{v}}
	case v.kind != list:
		r.warn(v, "%s is %s, from which nothing is read: write a list", what, v.kind)
		return nil
	}
	return r.texts(v, what)
}
