package router

import (
	"context"
	"fmt"

	"lain.internal/lain/router/conf"
	"lain.internal/lain/router/nginx"
)

// applyEdge brings the edge to what the settings say: at the first start, after its death, and after an
// upgrade that changes its text. Nothing that applications do leads here.
func (r *Router) applyEdge(ctx context.Context) error {
	p := paths(r.edge)
	p.Front, p.Calls = r.nginx.Files.Front, r.nginx.Files.Calls
	config, err := conf.RenderEdge(conf.Edge{Paths: p, User: r.edge.User, Listen: r.listen, MaxFiles: nginx.MaxFiles(),
		Secure: r.listenTLS, HTTP2: r.listen2, Hosts: r.certs.Store.Hosts()})
	if err != nil {
		return fmt.Errorf("render the configuration of the edge: %w", err)
	}
	if live, err := r.edge.Generation(ctx); err == nil && live == config.Generation && r.edge.Alive() {
		return nil
	}
	if err := r.edge.Test(ctx, config.Text); err != nil {
		return fmt.Errorf("the edge: %w", err)
	}
	if err := r.enact(ctx, r.edge, config); err != nil {
		return fmt.Errorf("the edge: %w", err)
	}
	return nil
}

func paths(n *nginx.Server) conf.Paths {
	f := n.Files
	return conf.Paths{PID: f.PID, Temp: f.Temp, AccessLog: f.AccessLog, ErrorLog: f.ErrorLog, Control: f.Control, Front: f.Front, Again: f.Again}
}

// adopt takes over what runs already.
func (r *Router) adopt(n *nginx.Server) error {
	if n.Alive() {
		return nil
	}
	found, err := n.Adopt()
	if err == nil && found {
		r.log.Info("adopted a running nginx", "pid", n.PID(), "config", n.Files.Config)
	}
	return err
}
