package manifest

import (
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Routes are the routes of all web procs on a cluster with these domains, in the order of the procs and of
// their mountpoints (LAIN 1.6.1):
//
//   - the application's own hosts are <app>.<domain>;
//   - the proc named web has what it lists, and each own host that it does not list;
//   - "/path" stands for that path on each own host; "/" alone stands for nothing beside a proc named web,
//     and for the own hosts without one;
//   - every other entry is a host, or a host with a path, taken as it is.
//
// Hosts are in lower case, and paths begin and end with "/". An error is a *fault.Fault that points at the
// line; the same host and path twice is one.
func (m *Manifest) Routes(domains []string) ([]lain.Route, error) {
	own, err := m.ownHosts(domains)
	if err != nil {
		return nil, err
	}
	table := &routeTable{m: m, own: own, root: m.servesRoot(), owner: map[mount]lain.ProcName{}}
	for _, p := range m.Procs {
		if p.Type != lain.Web {
			continue
		}
		if err := table.add(p); err != nil {
			return nil, err
		}
	}
	return table.routes, nil
}

// ownHosts are <app>.<domain>, each once.
func (m *Manifest) ownHosts(domains []string) ([]string, error) {
	var hosts []string
	for _, d := range domains {
		host := strings.ToLower(string(m.AppName) + "." + d)
		if bad := checkHost(host); bad != "" {
			return nil, m.at(place{line: m.nameLine}, fault.New(fault.Invalid, "%s", bad).
				WithHint("The application's own host is made of its appname and the domain of the cluster."))
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// routeTable grows by the procs of a manifest.
type routeTable struct {
	m      *Manifest
	own    []string
	root   bool // there is a proc named web
	owner  map[mount]lain.ProcName
	routes []lain.Route
}

func (t *routeTable) add(p Proc) error {
	for i, entry := range p.Mountpoint {
		mounts, err := t.expand(p, i, entry)
		if err != nil {
			return err
		}
		for _, m := range mounts {
			if other, taken := t.owner[m]; taken {
				return t.twice(p, i, m, other)
			}
			t.put(p, m)
		}
	}
	if p.Name == "web" {
		return t.defaults(p)
	}
	return nil
}

// expand gives the mounts one entry stands for.
func (t *routeTable) expand(p Proc, i int, entry string) ([]mount, error) {
	parsed, bad := parseMount(entry)
	switch {
	case bad != "":
		return nil, t.m.at(p.mountPlace(i), fault.New(fault.Invalid, "%s: %s", p.Name, bad))
	case parsed.host != "":
		return []mount{parsed}, nil
	case parsed.path == "/" && t.root:
		return nil, nil
	}
	var mounts []mount
	for _, host := range t.own {
		mounts = append(mounts, mount{host, parsed.path})
	}
	return mounts, nil
}

// defaults gives the proc named web the own hosts it does not list. One that another proc has is an error:
// nobody could tell who answers.
func (t *routeTable) defaults(p Proc) error {
	for _, host := range t.own {
		m := mount{host, "/"}
		other, taken := t.owner[m]
		if taken && other != p.Name {
			return t.m.at(place{line: p.Line}, clash(p, m, other).
				WithHint("%s belongs to the proc named web.", host))
		}
		if !taken {
			t.put(p, m)
		}
	}
	return nil
}

func (t *routeTable) put(p Proc, m mount) {
	t.owner[m] = p.Name
	t.routes = append(t.routes, lain.Route{Host: m.host, Path: m.path, Proc: p.Name, HTTPSOnly: p.HTTPSOnly})
}

func (t *routeTable) twice(p Proc, i int, m mount, other lain.ProcName) error {
	return t.m.at(p.mountPlace(i), clash(p, m, other).WithHint("Each host and path leads to one proc."))
}

func clash(p Proc, m mount, other lain.ProcName) *fault.Fault {
	if other == p.Name {
		return fault.New(fault.Invalid, "%s lists %s%s twice", p.Name, m.host, m.path)
	}
	return fault.New(fault.Invalid, "%s and %s both answer at %s%s", other, p.Name, m.host, m.path)
}

// mountPlace is where the i-th mountpoint is written.
func (p Proc) mountPlace(i int) place {
	if i < len(p.mounts) {
		return p.mounts[i]
	}
	return place{line: p.Line}
}
