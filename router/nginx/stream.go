package nginx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lain.internal/lain/lain/fault"
)

// Stream finds the stream module of the program: the file to load, or "" where it is built in. Prepare has to have found
// the program.
func (s *Server) Stream() (file string, err error) {
	cmd := exec.Command(s.options.Program, "-V")
	cmd.Env = environment
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask nginx how it was built: %w", err)
	}
	file, ok := StreamModule(string(out))
	if !ok {
		return "", fault.New(fault.Unavailable, "%s has no stream module, which calls of gRPC need: install it (apt-get install libnginx-mod-stream), or leave router-https-addr and router-http2-addr empty", s.options.Program)
	}
	return file, nil
}

// StreamModule finds the stream module in what nginx -V says: the file to load, or "" where it is built in.
func StreamModule(configured string) (file string, ok bool) {
	for _, field := range strings.Fields(configured) {
		if field == "--with-stream" {
			return "", true
		}
		if folder, found := strings.CutPrefix(field, "--modules-path="); found {
			file = filepath.Join(folder, "ngx_stream_module.so")
		}
	}
	if file == "" {
		return "", false
	}
	_, err := os.Stat(file)
	return file, err == nil
}
