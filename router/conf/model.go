// Package conf turns routes and endpoints into the text of two nginx configurations: Render's knows the
// applications, RenderEdge's holds the connections of clients and knows only the former.
//
// It is pure: a Model goes in, the whole file comes out, and the same Model always gives the same bytes.
// What comes from applications (hosts, paths, addresses) has to pass an allow-list first; Render refuses
// anything else, so that no value can ever leave its place in the text.
//
// It does not run nginx, touch files, or decide who may have a host.
package conf

import (
	"lain.internal/lain/lain"
)

// Model is everything a configuration is made from.
type Model struct {
	Paths    Paths
	User     string // of the workers; "": the user nginx is started by
	MaxFiles int    // open files per worker; 0: what the process inherits
	// HTTPSPort is the port of https as people reach it; 0: there is no https, and routes that are https_only
	// are answered with 503.
	HTTPSPort int
	Stream    string // nginx's stream module, where it is a file; used with Paths.Calls
	Apps      []App  // in any order; Render sorts
}

// Edge is everything the configuration of the edge is made from.
type Edge struct {
	Paths    Paths    // its own, but for Front and Calls, which are the other one's
	User     string   // as Model's
	Listen   []string // ip:port each, at least one
	Secure   []string // ip:port each, where TLS is ended; none: nowhere
	HTTP2    []string // ip:port each, where HTTP/2 is spoken without TLS, and nothing else (RFC 9113, 3.3); none: nowhere
	Hosts    string   // folder of links named as hosts, each to a PEM file of chain and key; used with Secure
	MaxFiles int      // as Model's
}

// Paths are absolute names below the router's own folders.
type Paths struct {
	PID       string // nginx writes its process id here
	Temp      string // folder for bodies that do not fit in memory
	AccessLog string
	ErrorLog  string
	Control   string // unix socket that answers GET / with the generation
	Front     string // unix socket on which the edge hands requests over
	Again     string // unix socket that the servers listen on as well, for second chances
	Calls     string // folder of unix sockets on which the edge hands calls of gRPC over (CallSocket, CallLink); "": there are none
}

// App is one application as the router serves it.
type App struct {
	Name      lain.AppName
	Routes    []lain.Route
	Endpoints map[lain.ProcName][]string // ip:port each; a proc without any answers 503
}

// Config is a rendered configuration.
type Config struct {
	Text       []byte
	Generation string // names the content: equal texts have equal generations
}
