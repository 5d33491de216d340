package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ask runs a program for its version. Both outputs are taken: nginx speaks on the second.
func ask(ctx context.Context, o Options, name string, args ...string) program {
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return program{err: fmt.Errorf("run %s: %w", name, err)}
	}
	return program{text: string(out)}
}

// hasStream reads what nginx -V says: built in, or as a module that lies where nginx loads modules from.
func hasStream(configured string) bool {
	fields := strings.Fields(configured)
	folder := ""
	for _, field := range fields {
		if field == "--with-stream" {
			return true
		}
		if path, ok := strings.CutPrefix(field, "--modules-path="); ok {
			folder = path
		}
	}
	if folder == "" {
		return false
	}
	_, err := os.Stat(folder + "/ngx_stream_module.so")
	return err == nil
}

// version is major, minor and patch, as far as a text has them.
type version [3]int

var versionPattern = regexp.MustCompile(`(\d{1,5})\.(\d{1,5})(?:\.(\d{1,5}))?`)

// parseVersion finds the first version number in a text.
func parseVersion(text string) (version, bool) {
	found := versionPattern.FindStringSubmatch(text)
	if found == nil {
		return version{}, false
	}
	var v version
	for i := range v {
		v[i], _ = strconv.Atoi(found[i+1]) // digits, or empty for 0
	}
	return v, true
}

// atLeast compares number by number.
func (v version) atLeast(other version) bool {
	for i := range v {
		if v[i] != other[i] {
			return v[i] > other[i]
		}
	}
	return true
}

func (v version) String() string {
	if v[2] == 0 {
		return fmt.Sprintf("%d.%d", v[0], v[1])
	}
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}
