package nginx

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lain.internal/lain/lain/fault"
)

var versionPattern = regexp.MustCompile(`nginx/(\d{1,6})\.(\d{1,6})\.(\d{1,6})`)

// AtLeast returns nil when the program is of this version or a newer one. Prepare has to have found it.
func (s *Server) AtLeast(wanted ...int) error {
	cmd := exec.Command(s.options.Program, "-v")
	cmd.Env = environment
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask nginx for its version: %w", err)
	}
	have := version(string(out))
	if slices.Compare(have, wanted) < 0 {
		return fault.New(fault.Unavailable, "%s is of version %s, and TLS needs %s: install a newer nginx, or leave router-https-addr empty", s.options.Program, numbered(have), numbered(wanted))
	}
	return nil
}

// version finds the three numbers in what nginx -v says; nil when there are none.
func version(out string) []int {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return nil
	}
	var numbers []int
	for _, digits := range m[1:] {
		n, _ := strconv.Atoi(digits) // the pattern bounds it
		numbers = append(numbers, n)
	}
	return numbers
}

func numbered(version []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(version), " ", "."), "[]")
}
