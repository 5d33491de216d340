package manifest

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// What is here checks keys that are not served yet, so that a file LAIN would have refused is refused today
// and not on the day the key begins to count (LAIN 1.11).

func (r *reader) useResources(v *node) {
	if v.kind != dict {
		return
	}
	for _, p := range v.pairs {
		if s := p.value.get("services"); s == nil || s.kind == null {
			r.fail(p.key, "Try: services: [mysql-master]", "use_resources.%s has no services", show(p.key.text))
		}
	}
}

// The source ports that LAIN's stream router gave out.
const minStream, maxStream = 9500, 10000

var streamPattern = regexp.MustCompile(`^([0-9]{1,5})(?::([0-9]{1,5}))?(?:/(tcp|udp))?$`)

// streamPorts checks SRC[:DST][/tcp|udp], alone or as the keys of a map. LAIN read nothing from a list.
func (r *reader) streamPorts(v *node) {
	specs := []*node{v}
	switch v.kind {
	case list:
		return
	case dict:
		specs = nil
		for _, p := range v.pairs {
			specs = append(specs, p.key)
		}
	}
	seen := map[int]bool{}
	for _, spec := range specs {
		r.streamPort(spec, seen)
	}
}

func (r *reader) streamPort(v *node, seen map[int]bool) {
	m := streamPattern.FindStringSubmatch(strings.TrimSpace(v.text))
	if m == nil || !v.scalar() {
		r.fail(v, "Try: ports: 9500:6379/tcp", "ports takes SRC:DST/PROTOCOL, and this is %s", show(v.text))
		return
	}
	src, _ := strconv.Atoi(m[1])
	dst, _ := strconv.Atoi(m[2])
	switch {
	case src < minStream || src > maxStream:
		r.fail(v, "", "ports gives out the ports from %d to %d, and this is %d", minStream, maxStream, src)
	case m[2] != "" && (dst < 1 || dst > 65535):
		r.fail(v, "", "ports leads to a port from 1 to 65535, and this is %d", dst)
	case seen[src]:
		r.fail(v, "", "ports names the port %d twice", src)
	}
	seen[src] = true
}

func (r *reader) labels(v *node) {
	for _, item := range r.texts(v, "labels") {
		i := strings.LastIndexByte(item.text, ':')
		switch {
		case i < 0:
			r.fail(item, "Try: - team:web", "labels takes KEY:VALUE, and this is %s", show(item.text))
		case strings.HasPrefix(strings.TrimSpace(item.text), "lain."):
			r.fail(item, "", "labels that begin with lain. are not for applications")
		}
	}
}

var filterPattern = regexp.MustCompile(`^(affinity|constraint):[^=!\s]+(==|!=)\S`)

func (r *reader) filters(v *node) {
	for _, item := range r.texts(v, "filters") {
		if !filterPattern.MatchString(item.text) {
			r.fail(item, "Try: - constraint:group==default", "filters takes affinity or constraint with :KEY==VALUE or :KEY!=VALUE, and this is %s", show(item.text))
		}
	}
}

// volumes checks paths, and maps of one path to its backups.
func (r *reader) volumes(v *node) {
	for _, item := range r.list(v, "volumes") {
		if item.kind != dict {
			r.volume(item)
			continue
		}
		for _, p := range item.pairs {
			r.volume(p.key)
		}
	}
}

func (r *reader) volume(v *node) {
	s, ok := r.text(v, "a volume")
	if !ok || v.kind == null {
		return
	}
	full := path.Clean(s)
	if !path.IsAbs(s) {
		full = path.Join("/lain/app", s)
	}
	if full == "/" || full == "/lain" || full == "/lain/app" {
		r.fail(v, "Name a directory below it.", "%s cannot be a volume", full)
	}
}

func (r *reader) cloudVolumes(v *node) {
	if v.kind != dict {
		r.fail(v, "Try: cloud_volumes: {type: multi, dirs: [/data]}", "cloud_volumes must be a map with type and dirs")
		return
	}
	if t := v.get("type"); t != nil && t.kind != null && t.text != "multi" && t.text != "single" {
		r.fail(t, "", "the type of cloud_volumes must be multi or single, and this is %s", show(t.text))
	}
	if dirs := v.get("dirs"); dirs != nil {
		r.volumes(dirs)
	}
}

func (r *reader) logs(v *node) {
	for _, item := range r.texts(v, "logs") {
		if path.IsAbs(item.text) {
			r.fail(item, "Try: - "+path.Base(item.text), "logs takes names below /lain/logs, and this is %s", show(item.text))
		}
	}
}
