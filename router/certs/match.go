package certs

import (
	"slices"
	"strings"
	"time"
)

// Best is the pair to show for a host: of the valid ones that name it, one that names it exactly before one with
// a wildcard, then the one that is valid longest. The order of pairs does not matter.
func Best(pairs []Pair, host string, now time.Time) (best Pair, found bool) {
	for _, p := range pairs {
		if !p.Valid(now) || p.fit(host) == 0 {
			continue
		}
		if !found || p.before(best, host) {
			best, found = p, true
		}
	}
	return best, found
}

// fit says how well a pair names a host: 2 exactly, 1 by a wildcard, 0 not at all.
func (p Pair) fit(host string) int {
	if slices.Contains(p.Hosts, host) {
		return 2
	}
	if _, parent, ok := strings.Cut(host, "."); ok && slices.Contains(p.Hosts, "*."+parent) {
		return 1
	}
	return 0
}

// before orders the pairs that fit a host. Their hashes decide in the end, so that the answer is always the same.
func (p Pair) before(other Pair, host string) bool {
	if a, b := p.fit(host), other.fit(host); a != b {
		return a > b
	}
	if !p.NotAfter.Equal(other.NotAfter) {
		return p.NotAfter.After(other.NotAfter)
	}
	return p.Hash < other.Hash
}
