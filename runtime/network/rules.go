package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lain.internal/lain/lain"
)

// The bit of the packet mark that means "one of the clusters opens this port".
const (
	openMark = "0x10000000"
	keepMark = "0xefffffff"
)

// Rules are what the fence of one cluster on one node says. The zero value of a list is an empty one.
type Rules struct {
	Cluster   lain.Cluster
	Bridges   []string     // interfaces that containers send from
	Open      []int        // ports of this and other nodes that containers may reach: router and DNS
	Published []int        // host ports of our tasks on this node
	Peers     []netip.Addr // the other nodes
	Routers   []netip.Addr // other nodes whose router may reach Published
}

// Table is the name of the cluster's table.
func Table(c lain.Cluster) string { return "lain_" + string(c) }

// Render is the fence as one nftables script, the same text for the same rules: it replaces the whole table
// in one transaction, whether it was there or not.
func (r Rules) Render() string {
	var b strings.Builder
	table := Table(r.Cluster)
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\n\ntable inet %s {\n", table, table, table)
	fmt.Fprintf(&b, "\tcomment \"the fence of lain's cluster %s: kept by laind, changes are undone\"\n\n", r.Cluster)
	r.sets(&b)
	r.chains(&b)
	b.WriteString("}\n")
	return b.String()
}

// RenderGone is a script that removes the table, whether it is there or not.
func (r Rules) RenderGone() string {
	return fmt.Sprintf("table inet %s\ndelete table inet %s\n", Table(r.Cluster), Table(r.Cluster))
}

func (r Rules) sets(b *strings.Builder) {
	set(b, "open", "inet_service", ports(r.Open))
	set(b, "published", "inet_service", ports(r.Published))
	set(b, "peers4", "ipv4_addr", addresses(r.Peers, netip.Addr.Is4))
	set(b, "peers6", "ipv6_addr", addresses(r.Peers, netip.Addr.Is6))
	set(b, "routers4", "ipv4_addr", addresses(r.Routers, netip.Addr.Is4))
	set(b, "routers6", "ipv6_addr", addresses(r.Routers, netip.Addr.Is6))
}

func (r Rules) chains(b *strings.Builder) {
	from := bridges(r.Bridges)
	b.WriteString("\t# What this cluster opens to containers, whatever another cluster's table says.\n")
	chain(b, "opened",
		"meta l4proto { tcp, udp } ct original proto-dst @open meta mark set meta mark | "+openMark)
	b.WriteString("\t# What containers send to a node: replies, what a cluster opens, and the ICMP that networks need.\n")
	chain(b, "shut",
		"ct direction reply return",
		"meta mark & "+openMark+" == "+openMark+" return",
		"icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } return",
		"icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-neighbor-solicit, nd-neighbor-advert } return",
		"counter drop")
	hook(b, "pre_open", "prerouting", -180, "iifname "+from+" jump opened")
	hook(b, "pre_shut", "prerouting", -179,
		"iifname "+from+" fib daddr type local jump shut",
		"iifname "+from+" ip daddr @peers4 jump shut",
		"iifname "+from+" ip6 daddr @peers6 jump shut",
		"iifname \"lo\" return",
		"ct direction reply return",
		"ip saddr @routers4 return",
		"ip6 saddr @routers6 return",
		"meta l4proto { tcp, udp } th dport @published fib daddr type local counter drop")
	hook(b, "pre_wipe", "prerouting", -178, "iifname "+from+" meta mark set meta mark & "+keepMark)
	hook(b, "in_open", "input", -180, "iifname "+from+" jump opened")
	hook(b, "in_shut", "input", -179, "iifname "+from+" jump shut")
	hook(b, "in_wipe", "input", -178, "iifname "+from+" meta mark set meta mark & "+keepMark)
	b.WriteString("\t# A neighbour that routes to a container's address instead of asking a published port.\n")
	hook(b, "forward_shut", "forward", -179,
		"iifname != "+from+" oifname \"docker_gwbridge\" ct direction original ct status & dnat == 0 counter drop")
}

func set(b *strings.Builder, name, kind string, elements []string) {
	fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n", name, kind)
	if len(elements) > 0 {
		fmt.Fprintf(b, "\t\telements = { %s }\n", strings.Join(elements, ", "))
	}
	b.WriteString("\t}\n\n")
}

func chain(b *strings.Builder, name string, rules ...string) {
	fmt.Fprintf(b, "\tchain %s {\n", name)
	for _, rule := range rules {
		fmt.Fprintf(b, "\t\t%s\n", rule)
	}
	b.WriteString("\t}\n\n")
}

func hook(b *strings.Builder, name, at string, priority int, rules ...string) {
	head := fmt.Sprintf("type filter hook %s priority %d; policy accept;", at, priority)
	chain(b, name, append([]string{head}, rules...)...)
}

// ports is numbers sorted, each once, as text.
func ports(numbers []int) []string {
	sorted := slices.Compact(slices.Sorted(slices.Values(numbers)))
	texts := make([]string, 0, len(sorted))
	for _, n := range sorted {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}

// addresses is what of all is of the family, sorted, each once, as text.
func addresses(all []netip.Addr, family func(netip.Addr) bool) []string {
	var own []netip.Addr
	for _, a := range all {
		if a = a.Unmap().WithZone(""); family(a) {
			own = append(own, a)
		}
	}
	slices.SortFunc(own, netip.Addr.Compare)
	var texts []string
	for _, a := range slices.Compact(own) {
		texts = append(texts, a.String())
	}
	return texts
}

func bridges(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		quoted = append(quoted, strconv.Quote(name))
	}
	return "{ " + strings.Join(quoted, ", ") + " }"
}
