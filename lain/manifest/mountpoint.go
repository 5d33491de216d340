package manifest

import (
	"net/netip"
	"regexp"
	"strings"

	"lain.internal/lain/lain"
)

// maxMounts bounds what one proc may ask of the router.
const maxMounts = 100

// mountpoint reads the list. For the proc named web LAIN fell back to the defaults where it is no list.
func (r *procReader) mountpoint(v *node, label string, p *Proc) {
	if v.kind != list {
		if p.Name == "web" {
			r.warn(v, "%s.mountpoint must be a list: it is ignored", label)
		} else {
			r.fail(v, "Try: mountpoint: [/"+string(p.Name)+"]", "%s.mountpoint must be a list, and this is %s", label, v.kind)
			p.Mountpoint = []string{""} // told of once
		}
		return
	}
	if len(v.items) > maxMounts {
		r.fail(v, "", "%s.mountpoint has %d entries, and at most %d are taken", label, len(v.items), maxMounts)
		return
	}
	for _, item := range r.texts(v, label+".mountpoint") {
		if _, fault := parseMount(item.text); fault != "" {
			r.fail(item, "Try: "+mountExample(item.text), "%s: %s", label, fault)
		}
		p.Mountpoint = append(p.Mountpoint, item.text)
		p.mounts = append(p.mounts, item.place)
	}
}

func mountExample(s string) string {
	if strings.HasPrefix(s, "/") {
		return "- /api"
	}
	return "- www.example.com/api, without scheme or port"
}

// rootless settles "/" on a proc that is not named web: beside a proc named web it stands for nothing (as it
// always did in LAIN), and a proc that has nothing else is unreachable.
func (r *reader) rootless(m *Manifest) {
	if !m.servesRoot() {
		return
	}
	for _, p := range m.Procs {
		if p.Name == "web" || len(p.mounts) == 0 {
			continue
		}
		left := len(p.Mountpoint)
		for i, entry := range p.Mountpoint {
			if entry == "/" {
				left--
				r.notes.add(Warning, p.mounts[i], "the mountpoint / of "+string(p.Name)+" has no effect: / belongs to the proc named web", "")
			}
		}
		if left == 0 {
			r.notes.add(Error, p.mounts[0], string(p.Name)+" has no mountpoint of its own", "Try: mountpoint: [/"+string(p.Name)+"]")
		}
	}
}

// servesRoot says whether there is a web proc named web.
func (m *Manifest) servesRoot() bool {
	for _, p := range m.Procs {
		if p.Name == "web" && p.Type == lain.Web {
			return true
		}
	}
	return false
}

// mount is a mountpoint taken apart. host is "" for the application's own; path begins and ends with "/".
type mount struct{ host, path string }

// parseMount reads "host", "host/path" or "/path". fault says what is wrong with it, or is empty.
func parseMount(s string) (m mount, fault string) {
	host, rest, _ := strings.Cut(s, "/")
	m = mount{host: strings.ToLower(host), path: "/" + rest}
	if !strings.HasSuffix(m.path, "/") {
		m.path += "/"
	}
	if !strings.HasPrefix(s, "/") {
		if fault := checkHost(m.host); fault != "" {
			return m, fault
		}
	}
	return m, checkPath(m.path)
}

var (
	hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	pathPattern = regexp.MustCompile(`^/([A-Za-z0-9._~-]+/)*$`)
	lastNumber  = regexp.MustCompile(`(^|\.)(0x[0-9a-f]*|[0-9]+)$`)
)

// checkHost takes the host names of RFC 1123, in lower case. A name that ends in a number is an address to
// every browser (URL Standard, "ends in a number"), so it is none.
func checkHost(host string) (fault string) {
	switch {
	case len(host) > 253 || !hostPattern.MatchString(host):
		return show(host) + " is not a host name: use letters, digits, - and ."
	case lastNumber.MatchString(host):
		return show(host) + " is not a host name but looks like an address"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return show(host) + " is an address, not a host name"
	}
	return ""
}

// maxPath bounds a path, in bytes.
const maxPath = 256

// checkPath takes plain segments only, so that what is written is what is compared and put into a
// configuration.
func checkPath(p string) (fault string) {
	if len(p) > maxPath || !pathPattern.MatchString(p) {
		return show(p) + " is not a path: use letters, digits and ._~- between single slashes"
	}
	if strings.Contains(p, "/../") || strings.Contains(p, "/./") {
		return show(p) + " is not a path: it holds a dot for a name"
	}
	return ""
}
