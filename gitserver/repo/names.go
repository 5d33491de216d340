package repo

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var (
	refPattern = regexp.MustCompile(`^refs/[^\x00-\x20\x7f~^:?*\[\\]+$`)
	maxName    = 1000
)

// checkRef refuses what git would refuse as a ref's name (git check-ref-format), before it gets there.
func checkRef(ref string) error {
	bad := len(ref) > maxName || !refPattern.MatchString(ref) || strings.Contains(ref, "..") || strings.Contains(ref, "@{")
	for part := range strings.SplitSeq(ref, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".")
	}
	if bad {
		return fmt.Errorf("%q is not a ref name", ref)
	}
	return nil
}

// checkRev refuses revisions that git could take for an option or for two.
func checkRev(rev string) error {
	if rev == "" || len(rev) > maxName || rev[0] == '-' || strings.ContainsFunc(rev, unicode.IsControl) {
		return fmt.Errorf("%q is not a revision", rev)
	}
	return nil
}

// clean makes a line of foreign text safe to show.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
