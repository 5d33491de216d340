package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// lately knows which blobs and manifests somebody asked for, brought or referred to a short while ago: whoever was
// told that a blob is there will not bring it again. It is noted before the request is answered, and its lock is
// held while something is deleted. So what was deleted is seen to be missing, and what was seen is not deleted.
type lately struct {
	mu sync.Mutex
	at map[string]time.Time // by digest
}

func (l *lately) note(digests ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range digests {
		l.at[d] = time.Now()
	}
}

// unless runs del, unless somebody named the digest within Grace.
func (l *lately) unless(digest string, del func() error) (deleted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, known := l.at[digest]; known && time.Since(at) < Grace {
		return false, nil
	}
	err = del()
	return err == nil, err
}

// forget drops what is older than Grace.
func (l *lately) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for d, at := range l.at {
		if time.Since(at) >= Grace {
			delete(l.at, d)
		}
	}
}

// maxManifest is the largest that distribution takes, in bytes.
const maxManifest = 4 << 20

var (
	digestForm  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	digestWords = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
)

// named are the digests that a request speaks of: in its path, of what it uploads or takes over from another
// repository, and, for a manifest that it brings, of that and of all that it refers to. The body can still be read.
func named(r *http.Request) ([]string, error) {
	var digests []string
	query := r.URL.Query()
	for _, d := range []string{path.Base(r.URL.Path), query.Get("digest"), query.Get("mount")} {
		if digestForm.MatchString(d) {
			digests = append(digests, d)
		}
	}
	if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
		return digests, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxManifest {
		return nil, errors.New("the manifest is larger than 4 MiB")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	digests = append(digests, "sha256:"+hex.EncodeToString(sum[:]))
	return append(digests, digestWords.FindAllString(string(body), -1)...), nil
}
