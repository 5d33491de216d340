package conf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// Render makes the whole configuration. It fails on the first value that is not on the allow-list, and
// when two applications claim one host; a caller who wants to go on without that application checks
// with CheckRoutes first.
func Render(m Model) (Config, error) {
	if err := checkFrame(m); err != nil {
		return Config{}, err
	}
	apps := slices.Clone(m.Apps)
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(string(a.Name), string(b.Name)) })
	w := &writer{paths: m.Paths}
	if err := w.listens(m.Listen); err != nil {
		return Config{}, err
	}
	w.main(m)
	if err := w.apps(apps); err != nil {
		return Config{}, err
	}
	return w.seal(), nil
}

// writer gathers the text. Its methods write only constants and values that passed a check.
type writer struct {
	buf    bytes.Buffer
	paths  Paths
	listen []string // canonical
}

func (w *writer) put(format string, args ...any) { fmt.Fprintf(&w.buf, format, args...) }

func (w *writer) listens(addresses []string) error {
	for _, a := range addresses {
		canonical, err := CheckAddress(a)
		if err != nil {
			return fmt.Errorf("listen address: %w", err)
		}
		w.listen = append(w.listen, canonical)
	}
	return nil
}

func (w *writer) main(m Model) {
	w.put("# Written by Lain; changes are overwritten.\ndaemon off;\npid %s;\nerror_log %s warn;\n", quote(m.Paths.PID), quote(m.Paths.ErrorLog))
	if m.User != "" {
		w.put("user %s;\n", m.User)
	}
	// Connections of a replaced worker may take their time: the router ends the oldest of these workers
	// itself when they become too many.
	w.put("worker_processes auto;\nworker_shutdown_timeout 1h;\n")
	connections := 4096
	if m.MaxFiles > 0 {
		w.put("worker_rlimit_nofile %d;\n", m.MaxFiles)
		connections = max(512, min(16384, m.MaxFiles/2))
	}
	w.put("events { worker_connections %d; }\n\nhttp {", connections)
	w.put(mapsText + pagesText + logText)
	w.put("    access_log %s lain if=$lain_outer;\n", quote(m.Paths.AccessLog))
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		w.put("    %s_temp_path %s;\n", kind, quote(m.Paths.Temp+"/"+kind))
	}
	w.put(httpText)
	for _, name := range Stripped {
		w.put("    proxy_set_header %s \"\";\n", name)
	}
	w.unknown()
}

// unknown is the server for hosts that nobody has claimed.
func (w *writer) unknown() {
	w.put("\n    server {\n")
	for _, a := range w.listen {
		w.put("        listen %s default_server%s;\n", a, only6(a))
	}
	w.put("        listen unix:%s default_server;\n        server_name _;\n", w.paths.Again)
	w.put("        set $lain_app \"\";\n        set $lain_proc \"\";\n")
	w.put("        location / { return 404 $lain_page_unknown; }\n    }\n")
}

func (w *writer) apps(apps []App) error {
	owners := map[string]lain.AppName{}
	for _, app := range apps {
		if err := CheckRoutes(app.Name, app.Routes); err != nil {
			return err
		}
		for _, r := range app.Routes {
			if other, ok := owners[r.Host]; ok && other != app.Name {
				return fault.New(fault.Conflict, "%s is claimed by %s and by %s", r.Host, other, app.Name)
			}
			owners[r.Host] = app.Name
		}
		if err := w.app(app); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) app(app App) error {
	byHost := map[string][]lain.Route{}
	alive := map[lain.ProcName]bool{}
	for _, r := range app.Routes {
		byHost[r.Host] = append(byHost[r.Host], r)
		alive[r.Proc] = len(app.Endpoints[r.Proc]) > 0
	}
	for _, proc := range sortedKeys(alive) {
		if !alive[proc] {
			continue // an upstream without servers is an error to nginx: its locations answer 503
		}
		if err := w.upstream(app.Name, proc, app.Endpoints[proc]); err != nil {
			return err
		}
	}
	for _, host := range sortedKeys(byHost) {
		w.server(app.Name, host, byHost[host], alive)
	}
	return nil
}

func (w *writer) upstream(app lain.AppName, proc lain.ProcName, addresses []string) error {
	var servers []string
	for _, a := range addresses {
		canonical, err := CheckAddress(a)
		if err != nil {
			return err
		}
		servers = append(servers, canonical)
	}
	slices.Sort(servers)
	w.put("\n    upstream %s.%s {\n", app, proc)
	for _, s := range slices.Compact(servers) {
		w.put("        server %s max_fails=1 fail_timeout=5s;\n", s)
	}
	w.put("        keepalive 32;\n        keepalive_timeout 1s;\n    }\n")
	return nil
}

func (w *writer) server(app lain.AppName, host string, routes []lain.Route, alive map[lain.ProcName]bool) {
	w.put("\n    server {\n")
	for _, a := range w.listen {
		w.put("        listen %s;\n", a)
	}
	w.put("        listen unix:%s;\n        server_name %s;\n", w.paths.Again, quote(host))
	w.put("        set $lain_app %s;\n        set $lain_proc \"\";\n        error_page 502 = @lain_again;\n", app)
	routes = slices.Clone(routes)
	slices.SortFunc(routes, func(a, b lain.Route) int { return strings.Compare(a.Path, b.Path) })
	if routes[0].Path != "/" {
		w.put("        location / { return 404 $lain_page_path; }\n")
	}
	for _, r := range routes {
		w.location(app, r, alive[r.Proc])
	}
	w.put("        location @lain_again {\n            if ($lain_again = \"\") { return 502 $lain_page_broken; }\n")
	w.put("            proxy_pass http://unix:%s;\n        }\n    }\n", w.paths.Again)
}

// location writes one route. "/uri/" in proxy_pass's place of the matched prefix is what strips it; nginx
// itself sends "/uri" to "/uri/" (301), as it did for LAIN. Without a prefix the request passes unchanged.
func (w *writer) location(app lain.AppName, r lain.Route, alive bool) {
	w.put("        location %s {\n            set $lain_proc %s;\n", quote(r.Path), r.Proc)
	strip := ""
	if r.Path != "/" {
		strip = "/"
	}
	if alive {
		w.put("            proxy_pass http://%s.%s%s;\n        }\n", app, r.Proc, strip)
		return
	}
	w.put("            add_header Retry-After 2 always;\n            add_header Cache-Control no-store always;\n")
	w.put("            return 503 $lain_page_empty;\n        }\n")
}

// seal adds the control server, which tells the generation, and closes the text. The generation is a hash
// of all the rest.
func (w *writer) seal() Config {
	w.put("\n    server {\n        listen unix:%s;\n        access_log off;\n", w.paths.Control)
	before := bytes.Clone(w.buf.Bytes())
	sum := sha256.Sum256(before)
	generation := hex.EncodeToString(sum[:12])
	w.put("        location = / { return 200 %s; }\n        location / { return 404 \"\"; }\n    }\n}\n", generation)
	return Config{Text: w.buf.Bytes(), Generation: generation}
}

// quote wraps a checked value. The escapes are a second fence: no check lets these bytes through.
func quote(s string) string {
	return `"` + escaper.Replace(s) + `"`
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// only6 keeps a wildcard v6 address from taking the v4 one of the same port.
func only6(address string) string {
	if strings.HasPrefix(address, "[::]") {
		return " ipv6only=on"
	}
	return ""
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
