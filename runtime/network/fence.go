package network

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/state"
)

// Options say what a fence is made of. Cluster is required.
type Options struct {
	Cluster     lain.Cluster
	RouterPorts []int        // where this cluster's router listens
	DNSPorts    []int        // nil: 53
	Bridges     []string     // nil: docker_gwbridge and docker0
	Peers       []netip.Addr // addresses of the other nodes; nil on a single machine
	Routers     []netip.Addr // the other nodes that run a router; nil on a single machine

	Store     *state.Store // whose endpoints/ records Run follows; nil: only SetPublished and Ports say
	Addresses []netip.Addr // this node's, as endpoints name it; nil: every endpoint counts as of this node
	Ports     Ports        // a second source of published ports; nil: none

	Nft    []string      // command and first arguments; nil: "nft"
	Every  time.Duration // how often Run looks whether the fence still stands; 0: 5 s
	Logger *slog.Logger  // nil: silent
}

// Ports tells which host ports the containers of the cluster publish on this node at this moment, those that
// serve not yet included. Run asks it at each look.
type Ports interface {
	PublishedPorts(ctx context.Context) ([]int, error)
}

// Fence is the fence of one cluster on this node. It is safe for concurrent use.
type Fence struct {
	options Options
	nft     nft
	log     *slog.Logger

	mu        sync.Mutex // held over each change, so that the kernel and the fields agree
	rules     Rules
	installed bool
	listed    string // the kernel's view right after our last change; "": not known
}

var interfacePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// New checks the options and touches nothing.
func New(o Options) (*Fence, error) {
	if _, err := lain.ParseCluster(string(o.Cluster)); err != nil {
		return nil, fault.New(fault.Invalid, "the fence has no cluster: %w", err)
	}
	o = withDefaults(o)
	open := slices.Concat(o.RouterPorts, o.DNSPorts)
	if err := checkPorts(open); err != nil {
		return nil, err
	}
	for _, name := range o.Bridges {
		if !interfacePattern.MatchString(name) {
			return nil, fault.New(fault.Invalid, "%q is not the name of a network interface", name)
		}
	}
	rules := Rules{Cluster: o.Cluster, Bridges: o.Bridges, Open: open, Peers: o.Peers, Routers: o.Routers}
	return &Fence{options: o, nft: o.Nft, log: o.Logger.With("component", "fence"), rules: rules}, nil
}

func withDefaults(o Options) Options {
	if o.DNSPorts == nil {
		o.DNSPorts = []int{53}
	}
	if len(o.Bridges) == 0 {
		o.Bridges = []string{"docker_gwbridge", "docker0"}
	}
	if len(o.Nft) == 0 {
		o.Nft = []string{"nft"}
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func checkPorts(ports []int) error {
	for _, p := range ports {
		if p < 1 || p > 65535 {
			return fault.New(fault.Invalid, "the fence is told of port %d: ports are 1 to 65535", p)
		}
	}
	return nil
}

// Install puts the whole fence in place, whatever stood there before. When it returns nil the fence holds;
// call it before the first container may start. It may be repeated.
func (f *Fence) Install(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.install(ctx)
}

// install loads the rules twice and keeps the kernel's view of them, for verify to compare with. Only a view
// that is the same after both is kept: otherwise somebody changed the table between loading and looking,
// and the next look loads it again.
func (f *Fence) install(ctx context.Context) error {
	f.listed = ""
	first, err := f.load(ctx)
	if err != nil {
		return err
	}
	second, err := f.load(ctx)
	if err != nil {
		return err
	}
	if first == second {
		f.listed = second
	}
	return nil
}

func (f *Fence) load(ctx context.Context) (listed string, err error) {
	err = failpoint.Around("network.install", func() error { return f.nft.load(ctx, f.rules.Render()) })
	if err != nil {
		return "", fmt.Errorf("install the fence: %w", err)
	}
	f.installed = true
	if listed, err = f.nft.list(ctx, Table(f.rules.Cluster)); err != nil {
		return "", fmt.Errorf("read the fence back: %w", err)
	}
	return listed, nil
}

// SetPublished says which ports of this node our tasks publish, all of them, until the next call. Before
// Install it is only kept.
func (f *Fence) SetPublished(ctx context.Context, ports []int) error {
	if err := checkPorts(ports); err != nil {
		return err
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(ports)))
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(sorted, f.rules.Published) {
		return nil
	}
	f.rules.Published = sorted
	if !f.installed {
		return nil
	}
	return f.install(ctx) // whole, so that a change by somebody else in the meantime is undone too
}

// verify installs the fence again if it is not as it was left.
func (f *Fence) verify(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.nft.list(ctx, Table(f.rules.Cluster))
	if err == nil && f.listed != "" && now == f.listed {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.listed != "" {
		f.log.Warn("the fence was changed or removed by somebody: putting it back")
	}
	return f.install(ctx)
}

// Down removes the fence. Nothing keeps containers from the node any more: call it last, when none is left.
// It may be repeated.
func (f *Fence) Down(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := failpoint.Around("network.down", func() error { return f.nft.load(ctx, f.rules.RenderGone()) })
	if err != nil {
		return fmt.Errorf("remove the fence: %w", err)
	}
	f.installed, f.listed = false, ""
	return nil
}
