package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// StreamPort is a port of the whole cluster that leads to a proc.
type StreamPort struct {
	Src      int    // 9500..10000
	Dst      int    // 1..65535
	Protocol string // tcp or udp
	Line     int
}

// The source ports that LAIN's stream router gave out.
const minStream, maxStream = 9500, 10000

// streamPorts reads SRC[:DST][/tcp|udp], alone or as the keys of a map. From a number and from a list LAIN read
// nothing.
func (r *reader) streamPorts(v *node) []StreamPort {
	var ports []StreamPort
	switch v.kind {
	case text:
		if strings.TrimSpace(v.text) != "" {
			ports = r.addStream(ports, v, nil)
		}
	case dict:
		for _, p := range v.pairs {
			ports = r.addStream(ports, p.key, p.value)
		}
	default:
		r.warn(v, "ports is %s, from which nothing is read: write \"9500:6379/tcp\", or a map of such keys", v.kind)
	}
	return ports
}

// addStream reads one port and what stands behind its colon, and adds it unless its source is taken.
func (r *reader) addStream(ports []StreamPort, spec, more *node) []StreamPort {
	p, ok := r.streamPort(spec)
	if ok && more != nil && more.kind == dict {
		p = r.streamMore(p, more)
	}
	switch {
	case !ok:
		return ports
	case p.Src < minStream || p.Src > maxStream:
		r.fail(spec, "", "ports gives out the ports from %d to %d, and this is %d", minStream, maxStream, p.Src)
	case p.Dst < 1 || p.Dst > 65535:
		r.fail(spec, "", "ports leads to a port from 1 to 65535, and this is %d", p.Dst)
	case slices.ContainsFunc(ports, func(o StreamPort) bool { return o.Src == p.Src }):
		r.fail(spec, "", "ports names the port %d twice", p.Src)
	default:
		return append(ports, p)
	}
	return ports
}

func (r *reader) streamPort(v *node) (StreamPort, bool) {
	p := StreamPort{Protocol: "tcp", Line: v.line}
	s := strings.TrimSpace(v.text)
	if v.kind == integer { // a key like 9500:22 is one in YAML 1.1
		r.odd(v, "ports")
		s = strconv.FormatInt(v.number, 10)
	}
	pair, protocol, named := strings.Cut(s, "/")
	src, dst, led := strings.Cut(pair, ":")
	if !led {
		dst = src
	}
	dst, rest, _ := strings.Cut(dst, ":")
	var bad1, bad2 error
	p.Src, bad1 = strconv.Atoi(strings.TrimSpace(src))
	p.Dst, bad2 = strconv.Atoi(strings.TrimSpace(dst))
	if bad1 != nil || bad2 != nil {
		r.fail(v, "Try: ports: 9500:6379/tcp", "ports takes SRC:DST/PROTOCOL, and this is %s", show(v.text))
		return p, false
	}
	if protocol == "udp" {
		p.Protocol = protocol
	}
	if named && protocol != p.Protocol || rest != "" {
		r.warn(v, "ports takes SRC:DST/PROTOCOL: %s is taken for %d:%d/%s", show(v.text), p.Src, p.Dst, p.Protocol)
	}
	return p, true
}

// streamMore reads {srcport, dstport, proto}, which win over what the key says.
func (r *reader) streamMore(p StreamPort, v *node) StreamPort {
	r.section(stream, "ports", v, takers{
		"srcport": func(_, v *node) { r.override(&p.Src, v, "ports.srcport", minStream, maxStream) },
		"dstport": func(_, v *node) { r.override(&p.Dst, v, "ports.dstport", 1, 65535) },
		"proto": func(_, v *node) {
			if p.Protocol = v.text; p.Protocol != "tcp" && p.Protocol != "udp" {
				r.fail(v, "", "ports.proto must be tcp or udp, and this is %s", show(v.text))
			}
		},
	})
	return p
}

// override sets a number, and leaves it where what is written is none within the limits; that is told of.
func (r *reader) override(to *int, v *node, what string, low, high int64) {
	if n, ok := r.between(v, what, low, high); ok {
		*to = n
	}
}
