package doctor

import (
	"context"
	"net/netip"
)

// facts are what was seen of a machine. An error stands for what could not be seen, and why.
type facts struct {
	root     bool
	kernel   kernel
	git      program
	nginx    program // its text is what nginx -V says
	nft      program
	restic   program
	stream   bool // nginx can proxy TCP
	engine   engine
	listens  []listen
	dataDir  string
	space    space
	pool     netip.Prefix
	routes   []route
	routeErr error
	clock    clock
}

type kernel struct {
	overlay      error // each nil where the kernel has it
	bridge       error
	veth         error
	vxlan        error
	nft          error
	memoryCgroup error
}

type program struct {
	text string // the first lines of what it says of its version
	err  error
}

type engine struct {
	host    string
	version string
	api     string
	err     error
	stepLog string       // BUILDKIT_STEP_LOG_MAX_SIZE of the running dockerd
	envErr  error        // why its environment could not be read
	pool    netip.Prefix // of the swarm it manages; zero where it is none
}

type listen struct {
	address string
	err     error
	holder  string // "nginx (pid 12)", "" where it is not known
}

type space struct {
	freeBytes  uint64
	freeInodes uint64
	noInodes   bool // the file system has none to count
	err        error
}

type route struct {
	prefix netip.Prefix
	device string
}

type clock struct {
	unsynchronised bool
	err            error
}

func look(ctx context.Context, o Options) facts {
	f := facts{dataDir: o.DataDir, root: isRoot(), kernel: lookKernel(ctx, o), clock: lookClock()}
	f.git = ask(ctx, o, "git", "--version")
	f.nft = ask(ctx, o, "nft", "--version")
	f.restic = ask(ctx, o, "restic", "version")
	f.nginx = ask(ctx, o, "nginx", "-V")
	f.stream = f.nginx.err == nil && hasStream(f.nginx.text)
	f.engine = lookEngine(ctx, o)
	for _, address := range o.Listen {
		f.listens = append(f.listens, tryListen(ctx, address))
	}
	f.space = lookSpace(o.DataDir)
	f.routes, f.routeErr = lookRoutes()
	f.pool = choosePool(o.AddressPool, f.engine.pool)
	return f
}

// defaultPool is what Swarm takes when nobody says otherwise.
var defaultPool = netip.MustParsePrefix("10.0.0.0/8")

func choosePool(wanted, swarms netip.Prefix) netip.Prefix {
	switch {
	case swarms.IsValid(): // it cannot be changed any more
		return swarms
	case wanted.IsValid():
		return wanted
	}
	return defaultPool
}
