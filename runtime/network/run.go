package network

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"lain.internal/lain/lain"
	"lain.internal/lain/state"
)

// Run keeps the fence until ctx ends: it follows the published ports and puts back what somebody else has
// changed. Install it first. What goes wrong is logged and tried again at the next look; the ports known
// last stay shut meanwhile. It returns nil when ctx has ended.
func (f *Fence) Run(ctx context.Context) error {
	var changed <-chan struct{}
	if f.options.Store != nil {
		changed = f.options.Store.Signal(ctx, lain.EndpointsPrefix)
	}
	look := time.NewTicker(f.options.Every)
	defer look.Stop()
	for {
		if err := f.pass(ctx); err != nil && ctx.Err() == nil {
			f.log.Error("the fence could not be kept, trying again", "after", f.options.Every, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case _, open := <-changed:
			if !open {
				changed = nil // the store has closed: the ticker goes on
			}
		}
	}
}

// pass brings the fence to what it should be, once.
func (f *Fence) pass(ctx context.Context) error {
	if f.options.Store != nil || f.options.Ports != nil {
		published, err := f.published(ctx)
		if err != nil {
			return err
		}
		if err := f.SetPublished(ctx, published); err != nil {
			return err
		}
	}
	return f.verify(ctx)
}

// published is what the sources say together.
func (f *Fence) published(ctx context.Context) (ports []int, err error) {
	if f.options.Store != nil {
		items, _, err := state.Of[lain.Endpoints](f.options.Store, lain.EndpointsPrefix).List(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("list the endpoints: %w", err)
		}
		for _, item := range items {
			ports = append(ports, portsHere(item.Value.Addresses, f.options.Addresses)...)
		}
	}
	if f.options.Ports != nil {
		more, err := f.options.Ports.PublishedPorts(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask for the published ports: %w", err)
		}
		ports = append(ports, more...)
	}
	return ports, nil
}

// portsHere are the ports of those addresses (host:port) that are on this node. What is no address with a
// port is left out: a router could not use it either.
func portsHere(endpoints []string, here []netip.Addr) []int {
	var ports []int
	for _, endpoint := range endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil {
			continue
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || !isHere(host, here) {
			continue
		}
		ports = append(ports, int(n))
	}
	return ports
}

// isHere counts a host that is a name as here: shutting a port too many harms less than one too few.
func isHere(host string, here []netip.Addr) bool {
	address, err := netip.ParseAddr(host)
	return len(here) == 0 || err != nil || address.IsLoopback() || slices.Contains(here, address.Unmap())
}
