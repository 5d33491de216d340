package doctor

import (
	"fmt"
	"slices"
	"strconv"
)

// What Lain needs at least.
var (
	leastGit    = version{2, 39}
	leastNginx  = version{1, 18}
	leastNft    = version{0, 9, 8}
	leastEngine = version{20, 10}
	leastRestic = version{0, 14}
)

const (
	leastBytes  = 10 << 30
	leastInodes = 200_000
	wantStepLog = "2147483647"
)

// judge turns facts into findings. It is pure.
func judge(f facts) []Finding {
	findings := []Finding{judgeRoot(f.root)}
	findings = append(findings, judgeKernel(f.kernel)...)
	findings = append(findings,
		judgeProgram("git", f.git, leastGit, "apt-get install git"),
		judgeNginx(f.nginx, f.stream),
		judgeProgram("nft", f.nft, leastNft, "apt-get install nftables"),
		optional(judgeProgram("restic", f.restic, leastRestic, "apt-get install restic; without it volumes are not backed up")),
		judgeEngine(f.engine))
	if f.engine.err == nil {
		findings = append(findings, judgeStepLog(f.engine))
	}
	for _, l := range f.listens {
		findings = append(findings, judgeListen(l))
	}
	return append(findings, judgeSpace(f.dataDir, f.space), judgePool(f), judgeClock(f.clock))
}

func well(name, format string, args ...any) Finding {
	return Finding{Name: name, OK: true, Sentence: fmt.Sprintf(format, args...)}
}

func ill(name, remedy, format string, args ...any) Finding {
	return Finding{Name: name, Sentence: fmt.Sprintf(format, args...), Remedy: remedy}
}

func optional(f Finding) Finding {
	f.Optional = true
	return f
}

func judgeRoot(root bool) Finding {
	if root {
		return well("root", "this is root")
	}
	return ill("root", "run it with sudo", "this is not root: most of what follows could not be looked at")
}

func judgeKernel(k kernel) []Finding {
	return []Finding{
		judgeFeature("overlay", k.overlay, "the kernel has the overlay file system", "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS"),
		judgeFeature("bridge", k.bridge, "the kernel makes bridges", "modprobe bridge, or a kernel with CONFIG_BRIDGE"),
		judgeFeature("veth", k.veth, "the kernel makes veth pairs", "modprobe veth, or a kernel with CONFIG_VETH"),
		judgeFeature("vxlan", k.vxlan, "the kernel makes vxlan links", "modprobe vxlan, or a kernel with CONFIG_VXLAN"),
		judgeFeature("nftables", k.nft, "the kernel takes the rules of the fence",
			"install nftables, and a kernel with CONFIG_NF_TABLES_INET, CONFIG_NFT_FIB_INET and CONFIG_NFT_CT"),
		judgeFeature("memory cgroup", k.memoryCgroup, "memory limits work", "boot with cgroup_enable=memory"),
	}
}

func judgeFeature(name string, err error, sentence, remedy string) Finding {
	if err != nil {
		return ill(name, remedy, "%s cannot be used: %v", name, err)
	}
	return well(name, "%s", sentence)
}

func judgeProgram(name string, p program, least version, remedy string) Finding {
	if p.err != nil {
		return ill(name, remedy, "%s cannot be used: %v", name, p.err)
	}
	v, ok := parseVersion(p.text)
	if !ok {
		return ill(name, remedy, "%s does not say which version it is", name)
	}
	if !v.atLeast(least) {
		return ill(name, remedy, "%s is %s, %s is wanted at least", name, v, least)
	}
	return well(name, "%s %s", name, v)
}

func judgeNginx(p program, stream bool) Finding {
	f := judgeProgram("nginx", p, leastNginx, "apt-get install nginx libnginx-mod-stream")
	if f.OK && !stream {
		return ill("nginx", "apt-get install libnginx-mod-stream", "%s has no stream module: TCP ports cannot be routed", f.Sentence)
	}
	return f
}

func judgeEngine(e engine) Finding {
	const remedy = "install Docker Engine 20.10 or newer (apt-get install docker.io), start it, and point --engine at its socket"
	if e.err != nil {
		return ill("engine", remedy, "the engine at %s does not answer: %v", e.host, e.err)
	}
	v, ok := parseVersion(e.version)
	if !ok || !v.atLeast(leastEngine) {
		return ill("engine", remedy, "the engine at %s is %q, %s is wanted at least", e.host, e.version, leastEngine)
	}
	return well("engine", "the engine at %s is %s (API %s)", e.host, e.version, e.api)
}

// judgeStepLog: 20.10 parses 32 bits, and a negative number loses every line.
func judgeStepLog(e engine) Finding {
	const name = "build logs"
	const remedy = "set BUILDKIT_STEP_LOG_MAX_SIZE and BUILDKIT_STEP_LOG_MAX_SPEED to " + wantStepLog +
		" in dockerd's environment (docs/operations.md has the drop-in) and restart it when that suits"
	if e.envErr != nil {
		return optional(ill(name, remedy, "how much of a build step's log the engine keeps is not known: %v", e.envErr))
	}
	size, err := strconv.ParseInt(e.stepLog, 10, 32)
	switch {
	case e.stepLog == "":
		return optional(ill(name, remedy, "the engine cuts a build step's log at 2 MiB"))
	case err != nil || size < 0:
		return ill(name, remedy, "the engine's %s is %q: build logs are lost or cut", stepLogVariable, e.stepLog)
	case size < 64<<20:
		return optional(ill(name, remedy, "the engine cuts a build step's log at %d bytes", size))
	}
	return well(name, "the engine keeps whole build logs")
}

func judgeListen(l listen) Finding {
	name := "port " + l.address
	switch {
	case l.err == nil:
		return well(name, "%s is free", l.address)
	case l.holder != "":
		return ill(name, "stop it, or give Lain another port", "%s is taken by %s", l.address, l.holder)
	}
	return ill(name, "free it, or give Lain another port", "%s cannot be listened on: %v", l.address, l.err)
}

func judgeSpace(dir string, s space) Finding {
	const name = "disk"
	gib := float64(s.freeBytes) / (1 << 30)
	switch {
	case s.err != nil:
		return ill(name, "choose another --data", "%v", s.err)
	case s.freeBytes < leastBytes:
		return ill(name, "make room, or choose a --data on a larger disk", "%.1f GiB are free for %s, 10 are wanted at least", gib, dir)
	case !s.noInodes && s.freeInodes < leastInodes:
		return ill(name, "remove small files, or choose another --data", "%d files can still be made for %s, %d are wanted at least", s.freeInodes, dir, leastInodes)
	}
	return well(name, "%.0f GiB are free for %s", gib, dir)
}

func judgePool(f facts) Finding {
	const name = "address pool"
	if f.routeErr != nil {
		return ill(name, "run it as root", "%v", f.routeErr)
	}
	clash := slices.IndexFunc(f.routes, func(r route) bool { return r.prefix.Overlaps(f.pool) })
	if clash < 0 {
		return well(name, "no route of this machine lies in %s", f.pool)
	}
	remedy := "choose a range that nobody here uses, for instance --address-pool 172.30.0.0/15"
	if f.engine.pool.IsValid() {
		remedy = "the swarm's range is fixed: leave the swarm, and let Lain make one with another --address-pool"
	}
	r := f.routes[clash]
	return ill(name, remedy, "%s, for the networks of applications, collides with %s on %s", f.pool, r.prefix, r.device)
}

func judgeClock(c clock) Finding {
	const name, remedy = "clock", "apt-get install chrony, or systemctl enable --now systemd-timesyncd"
	switch {
	case c.err != nil:
		return optional(ill(name, remedy, "the clock cannot be looked at: %v", c.err))
	case c.unsynchronised:
		return optional(ill(name, remedy, "nothing keeps the clock right: certificates, leases and logs depend on it"))
	}
	return well(name, "the clock is kept right")
}
