// Package engine is the one client of the Docker Engine: services, tasks, images, networks, logs, and the
// dial into the BuildKit that lives in it.
//
// It speaks in the engine's own terms; of applications it knows the names only, which it writes into names
// and labels. Everything it makes carries the label of its cluster, and what lacks that label is never
// listed, changed or removed.
//
// Written for Docker Engine 20.10 (API 1.41) and newer; the version is negotiated.
package engine

import (
	"context"
	"fmt"
	"net"

	"github.com/docker/docker/client"
	buildkit "github.com/moby/buildkit/client"
	"google.golang.org/grpc"

	"lain.internal/lain/lain"
)

// ClusterLabel marks everything of ours; its value is the cluster's id.
const ClusterLabel = "lain.cluster"

// Engine is a connection to one Docker Engine. It is safe for concurrent use.
type Engine struct {
	api     *client.Client
	cluster lain.Cluster
}

// Open connects to the engine at host ("unix:///run/docker.sock"; "" takes DOCKER_HOST or the default)
// and checks that it answers. The caller closes it.
func Open(ctx context.Context, host string, cluster lain.Cluster) (*Engine, error) {
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker engine address %q: %w", host, err)
	}
	if _, err := api.Ping(ctx); err != nil {
		return nil, fmt.Errorf("docker engine %s does not answer: %w", api.DaemonHost(), err)
	}
	return &Engine{api: api, cluster: cluster}, nil
}

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// BuildKit dials the BuildKit inside the engine. The caller closes the client.
func (e *Engine) BuildKit(ctx context.Context) (*buildkit.Client, error) {
	return buildkit.New(ctx, "",
		buildkit.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return e.api.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		buildkit.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.api.DialHijack(ctx, "/session", proto, meta)
		}),
		buildkit.WithGRPCDialOption(grpc.WithChainStreamInterceptor(readAhead)),
		buildkit.WithGRPCDialOption(grpc.WithInitialWindowSize(statusWindow)),
		buildkit.WithGRPCDialOption(grpc.WithInitialConnWindowSize(statusWindow)))
}
