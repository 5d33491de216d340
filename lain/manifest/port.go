package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// Exposed is a port that a proc listens on.
type Exposed struct {
	Number   int    // 1..65535
	Protocol string // tcp or udp
}

// ports reads the forms LAIN took: 80, "80:tcp", {80: ["type:tcp"]}, and lists of them. What Python calls false
// is no port.
func (r *reader) ports(v *node, what string) []Exposed {
	items := []*node{v}
	switch {
	case v.empty():
		if v.kind == integer {
			r.warn(v, "%s: 0 is no port", what)
		}
		return nil
	case v.kind == list:
		items = v.items
		if len(items) > 1 {
			r.warn(v, "%s: only the first port is used", what)
		}
	}
	var ports []Exposed
	for _, item := range items {
		if item.kind == list {
			r.fail(item, "Try: port: 8080", "%s holds a list in a list", what)
			return nil
		}
		if p, ok := r.port(item, what); ok && !slices.ContainsFunc(ports, func(o Exposed) bool { return o.Number == p.Number }) {
			ports = append(ports, p)
		}
	}
	return ports
}

func (r *reader) port(v *node, what string) (Exposed, bool) {
	switch v.kind {
	case dict:
		return r.portMap(v, what)
	case integer:
		r.odd(v, what)
		return r.exposed(v, what, strconv.FormatInt(v.number, 10), "tcp")
	}
	number, protocol, named := strings.Cut(strings.TrimSpace(v.text), ":")
	if !named {
		protocol = "tcp"
	}
	return r.exposed(v, what, number, protocol)
}

// portMap reads {80: ["type:tcp"]}.
func (r *reader) portMap(v *node, what string) (Exposed, bool) {
	if len(v.pairs) != 1 {
		r.fail(v, "Try: port: 8080", "%s must name one port", what)
		return Exposed{}, false
	}
	protocol := "tcp"
	for _, option := range r.texts(v.pairs[0].value, what) {
		if name, value, ok := strings.Cut(option.text, ":"); ok && strings.TrimSpace(name) == "type" {
			protocol = strings.TrimSpace(value)
		}
	}
	return r.exposed(v.pairs[0].key, what, v.pairs[0].key.text, protocol)
}

func (r *reader) exposed(v *node, what, number, protocol string) (Exposed, bool) {
	n, err := strconv.Atoi(number)
	protocol = strings.ToLower(protocol)
	switch {
	case err != nil || n < 1 || n > 65535:
		r.fail(v, "Try: port: 8080", "%s must be a number from 1 to 65535, and this is %s", what, show(number))
	case protocol != "tcp" && protocol != "udp":
		r.fail(v, "Try: port: 8080", "%s is of protocol tcp or udp, and this is %s", what, show(protocol))
	default:
		if protocol == "udp" {
			r.later(v, what+": udp is not served yet and is ignored", "")
		}
		return Exposed{n, protocol}, true
	}
	return Exposed{}, false
}
