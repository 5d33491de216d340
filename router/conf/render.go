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

// Render makes the whole configuration that knows the applications. It fails on the first value that is not on the allow-list, and
// when two applications claim one host; a caller who wants to go on without that application checks
// with CheckRoutes first.
func Render(m Model) (Config, error) {
	if err := checkFrame(m.Paths, m.User); err != nil {
		return Config{}, err
	}
	apps := slices.Clone(m.Apps)
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(string(a.Name), string(b.Name)) })
	w := &writer{paths: m.Paths, httpsPort: m.HTTPSPort}
	w.process(m.User, m.MaxFiles)
	if m.Paths.Calls == "" {
		w.events()
	} else if err := w.calls(m.Stream, apps); err != nil {
		return Config{}, err
	}
	w.openHTTP()
	w.http()
	if err := w.apps(apps); err != nil {
		return Config{}, err
	}
	return w.seal(), nil
}

// writer gathers the text. Its methods write only constants and values that passed a check.
type writer struct {
	buf       bytes.Buffer
	paths     Paths
	httpsPort int

	connections int // of each worker
}

func (w *writer) put(format string, args ...any) { fmt.Fprintf(&w.buf, format, args...) }

// process is what comes first.
func (w *writer) process(user string, maxFiles int) {
	w.put("# Written by Lain; changes are overwritten.\ndaemon off;\npid %s;\nerror_log %s warn;\n", quote(w.paths.PID), quote(w.paths.ErrorLog))
	if user != "" {
		w.put("user %s;\n", user)
	}
	// Connections of a replaced worker may take their time: the router ends the oldest of these workers
	// itself when they become too many.
	w.put("worker_processes auto;\nworker_shutdown_timeout 1h;\n")
	w.connections = 4096
	if maxFiles > 0 {
		w.put("worker_rlimit_nofile %d;\n", maxFiles)
		w.connections = max(512, min(16384, maxFiles/2))
	}
}

// events ends what concerns the process. Modules have to be loaded before it.
func (w *writer) events() { w.put("events { worker_connections %d; }\n\n", w.connections) }

func (w *writer) openHTTP() {
	w.put("http {")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		w.put("\n    %s_temp_path %s;", kind, quote(w.paths.Temp+"/"+kind))
	}
	w.put(commonText)
}

func (w *writer) http() {
	w.put("    map $server_addr $lain_inner { default \"\"; %s 1; }", quote("unix:"+w.paths.Again))
	w.put(mapsText + plainText + pagesText + pageBroken + logText)
	w.put("    access_log %s lain if=$lain_outer;\n", quote(w.paths.AccessLog))
	w.put(httpText)
	for _, name := range Stripped {
		w.put("    proxy_set_header %s \"\";\n", name)
	}
	w.unknown()
}

// unknown is the server for hosts that nobody has claimed. Whoever waits at the front while workers are
// replaced has to find room there.
func (w *writer) unknown() {
	w.put("\n    server {\n        listen unix:%s default_server backlog=4096;\n", w.paths.Front)
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

// canonical are addresses as CheckAddress has them, each once.
func canonical(addresses []string) ([]string, error) {
	var servers []string
	for _, a := range addresses {
		one, err := CheckAddress(a)
		if err != nil {
			return nil, err
		}
		servers = append(servers, one)
	}
	slices.Sort(servers)
	return slices.Compact(servers), nil
}

// upstream is the group of a proc's endpoints.
func (w *writer) upstream(app lain.AppName, proc lain.ProcName, addresses []string) error {
	servers, err := canonical(addresses)
	if err != nil {
		return err
	}
	w.put("\n    upstream %s.%s {\n", app, proc)
	for _, s := range servers {
		w.put("        server %s max_fails=1 fail_timeout=5s;\n", s)
	}
	w.put("        keepalive 32;\n        keepalive_timeout 1s;\n    }\n")
	return nil
}

func (w *writer) server(app lain.AppName, host string, routes []lain.Route, alive map[lain.ProcName]bool) {
	w.put("\n    server {\n        listen unix:%s;\n        listen unix:%s;\n        server_name %s;\n",
		w.paths.Front, w.paths.Again, quote(host))
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
	w.put("            proxy_pass http://unix:%s;\n        }\n", w.paths.Again)
	w.put("    }\n")
}

// location writes one route. "/uri/" in proxy_pass's place of the matched prefix is what strips it; nginx
// itself sends "/uri" to "/uri/" (301), as it did for LAIN. Without a prefix the request passes unchanged.
func (w *writer) location(app lain.AppName, r lain.Route, alive bool) {
	w.put("        location %s {\n            set $lain_proc %s;\n", quote(r.Path), r.Proc)
	strip := ""
	if r.Path != "/" {
		strip = "/"
	}
	if r.HTTPSOnly {
		w.secure(r.Host)
	}
	if alive {
		w.put("            proxy_pass http://%s.%s%s;\n        }\n", app, r.Proc, strip)
		return
	}
	w.put("            add_header Retry-After 2 always;\n            add_header Cache-Control no-store always;\n")
	w.put("            return 503 $lain_page_empty;\n        }\n")
}

// secure sends what came without TLS to https, on the route's own host and with the very path and query of the
// request. Only GET and HEAD may become a GET on the way: anything else is told to stay what it is.
func (w *writer) secure(host string) {
	if w.httpsPort == 0 {
		w.put("            return 503 $lain_page_secure;\n")
		return
	}
	port := ""
	if w.httpsPort != 443 {
		port = fmt.Sprintf(":%d", w.httpsPort)
	}
	target := quote("https://" + host + port + "$request_uri")
	w.put("            if ($lain_plain = read) { return 301 %s; }\n", target)
	w.put("            if ($lain_plain = write) { return 308 %s; }\n", target)
	w.put("            add_header Strict-Transport-Security $lain_hsts always;\n")
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

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
