package router

import (
	"net"
	"net/netip"

	"lain.internal/lain/lain/fault"
)

// listenAddresses are the addresses behind "host:port" or ":port"; the latter means all of IPv4, and of
// IPv6 where the machine has it.
func listenAddresses(s string) ([]string, error) {
	host, port, err := net.SplitHostPort(s)
	everywhere := err == nil && host == ""
	switch {
	case everywhere:
		host = "0.0.0.0"
	case host == "localhost":
		host = "127.0.0.1"
	}
	address, wrong := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || wrong != nil || address.Port() == 0 {
		return nil, fault.New(fault.Invalid, "the router cannot listen on %q: use ip:port or :port", s)
	}
	all := []string{address.String()}
	if everywhere && hasIPv6() {
		all = append(all, "[::]:"+port)
	}
	return all, nil
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
