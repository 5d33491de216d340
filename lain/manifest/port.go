package manifest

import (
	"strconv"
	"strings"
)

// port reads the forms LAIN took: 80, "80:tcp", {80: ["type:tcp"]}, and lists of them, of which the first
// counts. It returns 0 after an error, or for a port that is not served.
func (r *reader) port(v *node, what string) int {
	switch v.kind {
	case list:
		return r.firstPort(v, what)
	case dict:
		return r.portMap(v, what)
	case integer:
		r.odd(v, what)
		return r.portNumber(v, what, strconv.FormatInt(v.number, 10), "")
	}
	number, protocol, _ := strings.Cut(strings.TrimSpace(v.text), ":")
	return r.portNumber(v, what, number, protocol)
}

func (r *reader) firstPort(v *node, what string) int {
	first := 0
	for i, item := range v.items {
		if item.kind == list {
			r.fail(item, "Try: port: 8080", "%s holds a list in a list", what)
			return 0
		}
		if n := r.port(item, what); i == 0 {
			first = n
		}
	}
	if len(v.items) > 1 {
		r.warn(v, "%s: only the first port is used", what)
	}
	return first
}

// portMap reads {80: ["type:tcp"]}.
func (r *reader) portMap(v *node, what string) int {
	if len(v.pairs) != 1 {
		r.fail(v, "Try: port: 8080", "%s must name one port", what)
		return 0
	}
	protocol := ""
	for _, option := range r.texts(v.pairs[0].value, what) {
		if name, value, ok := strings.Cut(option.text, ":"); ok && strings.TrimSpace(name) == "type" {
			protocol = strings.TrimSpace(value)
		}
	}
	return r.portNumber(v.pairs[0].key, what, v.pairs[0].key.text, protocol)
}

func (r *reader) portNumber(v *node, what, number, protocol string) int {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 65535 {
		r.fail(v, "Try: port: 8080", "%s must be a number from 1 to 65535, and this is %s", what, show(number))
		return 0
	}
	switch strings.ToLower(protocol) {
	case "", "tcp":
		return n
	case "udp":
		r.later(v, what+": udp is not served yet and is ignored", "")
		return 0
	}
	r.fail(v, "Try: port: 8080", "%s is of protocol tcp, and this is %s", what, show(protocol))
	return 0
}
