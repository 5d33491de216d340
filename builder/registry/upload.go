package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"lain.internal/lain/failpoint"
)

// uploadPath is the place of an upload: a repository's name (distribution/reference) and an id (a UUID).
var uploadPath = regexp.MustCompile(`^/v2/([a-z0-9]+(?:(?:/|\.|_{1,2}|-+)[a-z0-9]+)*)/blobs/uploads/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// uploadOf tells where the parts of a blob lie that a request brings.
func uploadOf(req *http.Request) (dir string, ok bool) {
	if req.Method != http.MethodPatch && req.Method != http.MethodPut {
		return "", false
	}
	m := uploadPath.FindStringSubmatch(req.URL.Path)
	if m == nil {
		return "", false
	}
	dir = filepath.Join("docker/registry/v2/repositories", filepath.FromSlash(m[1]), "_uploads", m[2])
	return dir, filepath.IsLocal(dir)
}

// upload answers a request that brings a part of a blob. When that fails for a reason of ours, a full disk most of
// all, what came is thrown away: an engine begins anew, and half a blob would keep the disk full.
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, dir string) {
	s := &statusWriter{ResponseWriter: w}
	r.app.ServeHTTP(s, req)
	if s.code < http.StatusInternalServerError {
		return
	}
	err := failpoint.Around("registry.upload.discard", func() error { return os.RemoveAll(filepath.Join(r.dir, dir)) })
	if err != nil {
		r.logger.Warn("half a blob is left", "upload", dir, "error", err)
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (s *statusWriter) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap gives http.ResponseController what it needs.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
