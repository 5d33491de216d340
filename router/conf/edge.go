package conf

import (
	"errors"
	"fmt"
	"strings"

	"lain.internal/lain/lain/fault"
)

// RenderEdge makes the configuration of the edge: the nginx that clients are connected to. It changes with
// the settings only, so the edge is not reloaded by deploys or certificates. That is its purpose: an nginx that
// is reloaded closes the connections that are kept alive, without looking whether a request is on its way on them.
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
	w.events()
	w.openHTTP()
	w.put(pageBroken + edgeText)
	for _, name := range Stripped {
		w.put("    grpc_set_header %s \"\";\n", name)
	}
	if err := w.edgeServer("", e.Listen, " default_server"); err != nil {
		return Config{}, err
	}
	if len(e.HTTP2) > 0 {
		if err := w.edgeServer("", e.HTTP2, " http2 default_server"); err != nil {
			return Config{}, err
		}
	}
	if len(e.Secure) > 0 {
		if err := w.secureEdge(e); err != nil {
			return Config{}, err
		}
	}
	return w.seal(), nil
}

// secureEdge ends TLS. The first server gets the handshakes that name no host, and refuses them; a name that is
// none gets there as well. The second one gets the rest. What is said over a connection may name any host: both
// hand it over. Handshakes that fail are not logged, since strangers make them: whether the certificates that
// should be shown are shown is checked from outside.
func (w *writer) secureEdge(e Edge) error {
	if err := checkFile(e.Hosts); err != nil {
		return err
	}
	w.put("\n" + tlsText)
	if err := w.edgeServer("        ssl_reject_handshake on;\n", e.Secure, " ssl http2 default_server"); err != nil {
		return err
	}
	return w.edgeServer(fmt.Sprintf("        root %s;\n        ssl_certificate $lain_tls_pair;\n        ssl_certificate_key $lain_tls_pair;\n        error_log %s alert;\n",
		quote(e.Hosts+"/$lain_tls_host"), quote(w.paths.ErrorLog)), e.Secure, " ssl http2")
}

// edgeServer hands over all that comes in at the addresses. Only the default server of an address has no names.
func (w *writer) edgeServer(settings string, listen []string, options string) error {
	w.put("\n    server {\n")
	first := strings.HasSuffix(options, "default_server")
	for _, a := range listen {
		canonical, err := CheckAddress(a)
		if err != nil {
			return fmt.Errorf("listen address: %w", err)
		}
		if first {
			w.put("        listen %s%s%s;\n", canonical, options, only6(canonical))
		} else {
			w.put("        listen %s%s;\n", canonical, options)
		}
	}
	name := "_"
	if !first {
		name = `"~^[a-z0-9][a-z0-9._-]*$"`
	}
	w.put("        server_name %s;\n%s        error_page 502 504 = @lain_gone;\n", name, settings)
	if strings.Contains(options, "http2") {
		w.put("        error_page 418 = @lain_grpc;\n        location / {\n            if ($lain_grpc) { return 418; }\n            proxy_pass http://unix:%s;\n        }\n", w.paths.Front)
		w.put("        location @lain_grpc {\n"+grpcLocationText+"            grpc_pass grpc://unix:%s/$scheme/$host;\n        }\n", w.paths.Calls)
	} else {
		w.put("        location / { proxy_pass http://unix:%s; }\n", w.paths.Front)
	}
	w.put("        location @lain_gone { return 502 $lain_page_broken; }\n    }\n")
	return nil
}

// RenderTrial makes a configuration that is only ever tested: nginx reads the pairs in these PEM files as it
// would at a handshake. Its servers say that they listen on socket.
func RenderTrial(p Paths, socket string, files []string) ([]byte, error) {
	if err := checkFrame(p, ""); err != nil {
		return nil, err
	}
	w := &writer{paths: p}
	w.process("", 0)
	w.events()
	w.openHTTP()
	for i, file := range files {
		if err := errors.Join(checkFile(socket), checkFile(file)); err != nil {
			return nil, err
		}
		w.put("    server {\n        listen unix:%s ssl;\n        server_name n%d;\n", socket, i)
		w.put("        ssl_certificate %s;\n        ssl_certificate_key %s;\n    }\n", quote(file), quote(file))
	}
	w.put("}\n")
	return w.buf.Bytes(), nil
}

// only6 keeps a wildcard v6 address from taking the v4 one of the same port.
func only6(address string) string {
	if strings.HasPrefix(address, "[::]") {
		return " ipv6only=on"
	}
	return ""
}
