package conf

import (
	"fmt"
	"strings"

	"lain.internal/lain/lain/fault"
)

// RenderEdge makes the configuration of the edge: the nginx that clients are connected to. It changes with
// the settings only, so the edge is not reloaded by deploys. That is its purpose: an nginx that is reloaded
// closes the connections that are kept alive, without looking whether a request is on its way on them.
//
// The edge hands each request over on a connection of its own, which a reload behind it never cuts.
func RenderEdge(e Edge) (Config, error) {
	if err := checkFrame(e.Paths, e.User); err != nil {
		return Config{}, err
	}
	if len(e.Listen) == 0 {
		return Config{}, fault.New(fault.Invalid, "the router has no address to listen on: give it one")
	}
	w := &writer{paths: e.Paths}
	w.process(e.User, e.MaxFiles)
	w.put(pageBroken + edgeText)
	w.put("\n    server {\n")
	for _, a := range e.Listen {
		canonical, err := CheckAddress(a)
		if err != nil {
			return Config{}, fmt.Errorf("listen address: %w", err)
		}
		w.put("        listen %s default_server%s;\n", canonical, only6(canonical))
	}
	w.put("        server_name _;\n        error_page 502 504 = @lain_gone;\n")
	w.put("        location / { proxy_pass http://unix:%s; }\n", e.Paths.Front)
	w.put("        location @lain_gone { return 502 $lain_page_broken; }\n    }\n")
	return w.seal(), nil
}

// only6 keeps a wildcard v6 address from taking the v4 one of the same port.
func only6(address string) string {
	if strings.HasPrefix(address, "[::]") {
		return " ipv6only=on"
	}
	return ""
}
