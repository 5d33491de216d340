package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"lain.internal/lain/lain"
)

// maxSocket is the longest name of a unix socket, bytes (sun_path, unix(7)).
const maxSocket = 107

// CallSocket is where calls of gRPC for a proc are taken, in the folder of Paths.Calls. The name is short, since there is
// little room for it.
func CallSocket(folder string, app lain.AppName, proc lain.ProcName) string {
	sum := sha256.Sum256([]byte(string(app) + "." + string(proc)))
	return folder + "/" + hex.EncodeToString(sum[:8])
}

// CallLink is where the edge looks for the socket of a host, below scheme (http or https). ok is false for a host whose name is too long
// for a socket's: it gets no calls.
func CallLink(folder, scheme, host string) (link string, ok bool) {
	link = folder + "/" + scheme + "/" + host
	return link, len(link) <= maxSocket
}

// Callable are the routes of an application that calls of gRPC may take: those of procs that have a whole host, under whose
// name for it the client calls it, and endpoints. A path before that name, which would be stripped, is nothing that
// clients of gRPC know.
func Callable(app App) []lain.Route {
	return slices.DeleteFunc(slices.Clone(app.Routes), func(r lain.Route) bool {
		return r.Path != "/" || len(app.Endpoints[r.Proc]) == 0
	})
}

// calls is the part that takes calls from the edge and passes their bytes on as they are. It is no HTTP/2 server: one that
// is replaced closes behind an answer that is under way, which the edge then takes for broken. What goes through here
// goes on in the replaced worker until it ends by itself.
func (w *writer) calls(module string, apps []App) error {
	if module != "" {
		w.put("load_module %s;\n", quote(module))
	}
	w.events()
	if !slices.ContainsFunc(apps, func(a App) bool { return len(Callable(a)) > 0 }) {
		return nil // nginx takes no log_format with variables that nobody sets
	}
	w.put("stream {"+streamText+"    access_log %s lain;\n", quote(w.paths.AccessLog))
	for _, app := range apps {
		procs := map[lain.ProcName]bool{}
		for _, r := range Callable(app) {
			procs[r.Proc] = true
		}
		for _, proc := range sortedKeys(procs) {
			if err := w.callsOf(app.Name, proc, app.Endpoints[proc]); err != nil {
				return err
			}
		}
	}
	w.put("}\n\n")
	return nil
}

func (w *writer) callsOf(app lain.AppName, proc lain.ProcName, addresses []string) error {
	servers, err := canonical(addresses)
	if err != nil {
		return err
	}
	w.put("\n    upstream %s.%s {\n", app, proc)
	for _, s := range servers {
		w.put("        server %s max_fails=1 fail_timeout=5s;\n", s)
	}
	w.put("    }\n    server {\n        listen unix:%s backlog=4096;\n        set $lain_app %s;\n        set $lain_proc %s;\n        proxy_pass %[2]s.%[3]s;\n    }\n",
		CallSocket(w.paths.Calls, app, proc), app, proc)
	return nil
}
