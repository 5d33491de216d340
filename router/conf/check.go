package conf

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

const (
	maxHost   = 253 // RFC 1035, 2.3.4
	maxPath   = 255
	maxRoutes = 500 // per application
)

var (
	// Labels of RFC 1123, and "_" inside them, which browsers and nginx take.
	hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*$`)
	// The unreserved and a few harmless other characters of RFC 3986: nothing that nginx or a URL escapes.
	pathPattern = regexp.MustCompile(`^/([A-Za-z0-9._~@+,=-]+/)*$`)
	filePattern = regexp.MustCompile(`^/[A-Za-z0-9/._@+,=-]*$`)
	userPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// CheckRoute says in one sentence why a route cannot be served, or returns nil.
func CheckRoute(r lain.Route) error {
	if len(r.Host) > maxHost || !hostPattern.MatchString(r.Host) {
		return fault.New(fault.Invalid, "%q is not a host name that can be routed: use lower-case letters, digits, - and dots", clip(r.Host))
	}
	if len(r.Path) > maxPath || !pathPattern.MatchString(r.Path) || dotted(r.Path) {
		return fault.New(fault.Invalid, "%q is not a path that can be routed on %s: begin and end it with / and use letters, digits and ._~@+,=-", clip(r.Path), r.Host)
	}
	if _, err := lain.ParseProcName(string(r.Proc)); err != nil {
		return fault.New(fault.Invalid, "%s%s leads to a proc that cannot be: %w", r.Host, r.Path, err)
	}
	return nil
}

// CheckRoutes says why an application's routes cannot be served together, or returns nil.
func CheckRoutes(app lain.AppName, routes []lain.Route) error {
	if _, err := lain.ParseAppName(string(app)); err != nil {
		return fault.New(fault.Invalid, "routes belong to an application that cannot be: %w", err)
	}
	if len(routes) > maxRoutes {
		return fault.New(fault.Invalid, "%s has %d routes: at most %d are served", app, len(routes), maxRoutes)
	}
	taken := map[string]lain.ProcName{}
	for _, r := range routes {
		if err := CheckRoute(r); err != nil {
			return err
		}
		if other, ok := taken[r.Host+r.Path]; ok {
			return fault.New(fault.Invalid, "%s%s is claimed by %s and by %s: give one of them another mountpoint", r.Host, r.Path, other, r.Proc)
		}
		taken[r.Host+r.Path] = r.Proc
	}
	return nil
}

// CheckAddress returns an endpoint in its one canonical form, or says why it is none. Names are refused:
// nginx would look them up while it reads the configuration, and fail with them.
func CheckAddress(s string) (string, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Addr().Zone() != "" || a.Port() == 0 {
		return "", fault.New(fault.Invalid, "%q is not an address that can be routed to: use ip:port", clip(s))
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String(), nil
}

func checkFrame(p Paths, user string) error {
	files, sockets := []string{p.PID, p.Temp, p.AccessLog, p.ErrorLog}, []string{p.Control, p.Front, p.Again}
	if p.Calls != "" {
		sockets = append(sockets, CallSocket(p.Calls, "", ""))
	}
	for _, file := range slices.Concat(files, sockets) {
		if err := checkFile(file); err != nil {
			return err
		}
	}
	for _, socket := range sockets {
		if len(socket) > maxSocket {
			return fault.New(fault.Invalid, "%q is too long for a unix socket: use a shorter run directory", socket)
		}
	}
	if user != "" && !userPattern.MatchString(user) {
		return fault.New(fault.Invalid, "%q is not a user that nginx could run as", clip(user))
	}
	return nil
}

func checkFile(file string) error {
	if !filePattern.MatchString(file) {
		return fault.New(fault.Invalid, "the router cannot keep a file at %q: use an absolute path of letters, digits and /._@+,=-", clip(file))
	}
	return nil
}

// dotted finds "." and ".." among the segments: nginx resolves them before it looks for a location.
func dotted(path string) bool {
	return strings.Contains(path, "/./") || strings.Contains(path, "/../")
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
