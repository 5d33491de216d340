// Package network keeps the fence of a node: what containers may reach on it, and who may reach the ports
// that containers publish.
//
// # What holds
//
//   - From the engine's bridges (docker_gwbridge, docker0) a container reaches, on any address of this node
//     or of another node, the router's ports and DNS and nothing else: no SSH, no registry, no API, no Swarm,
//     no etcd, and no other application through node:port. TCP, UDP and everything else, IPv4 and IPv6. An
//     application's own overlay network lies elsewhere and is not touched, and neither is the way out.
//   - A port published by one of our tasks answers this node and the router nodes, nobody else.
//   - No neighbour of this node reaches a container behind docker_gwbridge by routing to its address.
//
// # How
//
// One nftables table per cluster, inet lain_<cluster>, rendered whole by Rules.Render and loaded in one
// transaction, so that at no instant half a fence stands. It lives in the kernel: it stays while laind is
// down, and Fence.Run puts it back when somebody has changed or flushed it.
//
// The rules look at packets after conntrack (-200) and before the engine's address translation (-100), where
// the destination is still the one the container wrote, and once more at the input hook, which also sees
// broadcast and multicast. Only the reply direction of a connection is exempt, never "established" as such: a
// connection that was opened before the fence stood, or before its port was known, ends.
//
// # Several clusters on one node
//
// In nftables an accept ends only its own chain, while a drop is final, so the fence of one cluster would
// shut the router ports of another. Therefore it takes three steps, at three priorities: every cluster's
// table marks what its router and DNS ports open (-180), then every table drops what carries no mark
// (-179), then the mark is wiped (-178). All tables pass one step before any takes the next, each table
// comes and goes by itself, and none has to know another. The mark is one bit of the packet mark and lives
// between these priorities only, before iptables' mangle chains (-150).
//
// # What it does not do
//
// It does not filter between containers of one application, nor what containers ask of the world. It opens
// no ports of virtual IPs. It touches no rule that is not in its own table.
package network
