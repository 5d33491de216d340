package manifest

import (
	"fmt"
	"strings"
)

// unknown is the sentence for a key that is nobody's: what was probably meant, or where it belongs.
func unknown(in section, title, name string) string {
	s := fmt.Sprintf("%s has no key %s, so it is ignored", title, show(name))
	if meant := nearest(in, name); meant != "" {
		return s + ": did you mean " + meant + "?"
	}
	for _, other := range []section{top, build, prepare, release, proc, health} {
		if k, ok := lookup(other, name); ok && k.name != "*" {
			return fmt.Sprintf("%s: it is a key of %s", s, other)
		}
	}
	return s
}

// nearest is the key of a section that a misspelt one was meant to be, or "".
func nearest(in section, name string) string {
	if len(name) > 64 {
		return ""
	}
	stem, rest, dotted := strings.Cut(name, ".")
	best, bestDistance := "", 3
	for _, k := range keys {
		wanted, wild := strings.CutSuffix(k.name, ".*")
		if k.in != in || wild != dotted {
			continue
		}
		if d := distance(strings.ToLower(stem), wanted); d < bestDistance && 2*d < len(wanted) {
			best, bestDistance = wanted, d
		}
	}
	if best != "" && dotted && rest != "" {
		best += "." + strings.ToLower(rest)
	}
	if best == "" {
		return ""
	}
	return show(best)
}

// distance is how many letters must be put in, left out, changed or swapped with their neighbour to make b
// of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
