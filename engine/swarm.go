package engine

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/swarm"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/fault"
)

// SwarmOptions say how a machine of its own becomes a swarm of one node.
type SwarmOptions struct {
	ListenAddr    string   // "": 127.0.0.1:2377, so that nobody outside can join
	AdvertiseAddr string   // "": 127.0.0.1
	AddressPool   []string // CIDRs that networks are cut from; none: Swarm's 10.0.0.0/8
}

// Node is one machine of the swarm.
type Node struct {
	ID      string
	Name    string
	Address string // as the other nodes reach it; 127.0.0.1 in a swarm that listens on loopback
	CPUs    int64  // in billionths of a core
	Memory  int64  // bytes
	Ready   bool
}

// EnsureSwarm makes the engine a swarm of one node when it is in none. An active swarm is taken as it is.
// It returns a fault when the engine can neither manage a swarm nor be made to.
func (e *Engine) EnsureSwarm(ctx context.Context, o SwarmOptions) error {
	manager, err := e.managesSwarm(ctx)
	if err != nil || manager {
		return err
	}
	initErr := failpoint.Around("engine.swarm.init", func() error {
		_, err := e.api.SwarmInit(ctx, o.request())
		return err
	})
	if manager, err := e.managesSwarm(ctx); err == nil && manager {
		return nil // ours, or that of somebody who was quicker
	}
	if initErr != nil {
		return fault.Hide(fault.Unavailable, initErr, "the docker engine could not be made a swarm: %v", initErr)
	}
	return fault.New(fault.Unavailable, "the docker engine was made a swarm but does not manage it: look at docker info")
}

func (o SwarmOptions) request() swarm.InitRequest {
	return swarm.InitRequest{
		ListenAddr:      orElse(o.ListenAddr, "127.0.0.1:2377"),
		AdvertiseAddr:   orElse(o.AdvertiseAddr, "127.0.0.1"),
		DefaultAddrPool: o.AddressPool,
		SubnetSize:      24,
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// managesSwarm is false for an engine in no swarm, and a fault for one whose swarm cannot be used.
func (e *Engine) managesSwarm(ctx context.Context) (bool, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("docker info: %w", err)
	}
	switch s := info.Swarm; {
	case s.LocalNodeState == swarm.LocalNodeStateInactive:
		return false, nil
	case s.LocalNodeState == swarm.LocalNodeStateActive && s.ControlAvailable:
		return true, nil
	case s.LocalNodeState == swarm.LocalNodeStateActive:
		return false, fault.New(fault.Unavailable, "the docker engine is a worker of a swarm: start the server on one of its managers")
	default:
		return false, fault.New(fault.Unavailable, "the swarm of the docker engine is %s: repair it (docker info says %q)", s.LocalNodeState, s.Error)
	}
}

// NodeID is this engine's id in its swarm.
func (e *Engine) NodeID(ctx context.Context) (string, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("docker info: %w", err)
	}
	return info.Swarm.NodeID, nil
}

// NodeAddr is the address that this engine advertises to its swarm.
func (e *Engine) NodeAddr(ctx context.Context) (string, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return "", fmt.Errorf("docker info: %w", err)
	}
	return info.Swarm.NodeAddr, nil
}

// Nodes lists all machines of the swarm.
func (e *Engine) Nodes(ctx context.Context) ([]Node, error) {
	list, err := e.api.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	nodes := make([]Node, 0, len(list))
	for _, n := range list {
		nodes = append(nodes, Node{
			ID:      n.ID,
			Name:    n.Description.Hostname,
			Address: n.Status.Addr,
			CPUs:    n.Description.Resources.NanoCPUs,
			Memory:  n.Description.Resources.MemoryBytes,
			Ready:   n.Status.State == swarm.NodeStateReady,
		})
	}
	return nodes, nil
}
