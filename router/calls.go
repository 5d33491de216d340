package router

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/router/conf"
)

// callable tells whether calls of gRPC can come in: HTTP/2 is spoken somewhere.
func (r *Router) callable() bool { return r.secure() || len(r.listen2) > 0 }

// prepareCalls finds what passes calls on, and makes the folders of their sockets and links.
func (r *Router) prepareCalls() (err error) {
	if !r.callable() {
		return nil
	}
	if err := r.nginx.AtLeast(1, 19, 4); err != nil { // set in a stream, and what TLS needs
		return err
	}
	if r.stream, err = r.nginx.Stream(); err != nil {
		return err
	}
	for _, scheme := range []string{"https", "http"} {
		if err := os.MkdirAll(filepath.Join(r.nginx.Files.Calls, scheme), 0o755); err != nil {
			return fmt.Errorf("folder of the router: %w", err)
		}
	}
	return nil
}

// linkCalls leads the calls of each host to the proc that takes them: the edge follows the link at each call. A host for
// https alone has none below http.
func (r *Router) linkCalls(apps []conf.App) error {
	if !r.callable() {
		return nil
	}
	want := r.callLinks(apps)
	have, err := r.linksNow()
	if err != nil {
		return err
	}
	for _, link := range sorted(want) {
		if have[link] != want[link] {
			err = errors.Join(err, r.link(want[link], link))
		}
	}
	for link := range have {
		if want[link] == "" {
			err = errors.Join(err, failpoint.Around("router.calls.unlink", func() error { return os.Remove(link) }))
		}
	}
	return err
}

// callLinks are the links that there should be, and the sockets they lead to.
func (r *Router) callLinks(apps []conf.App) map[string]string {
	folder, want := r.nginx.Files.Calls, map[string]string{}
	for _, app := range apps {
		for _, route := range conf.Callable(app) {
			for _, scheme := range []string{"https", "http"} {
				link, ok := conf.CallLink(folder, scheme, route.Host)
				if ok && (scheme == "https" || !route.HTTPSOnly) {
					want[link] = conf.CallSocket(folder, app.Name, route.Proc)
				}
			}
		}
	}
	return want
}

func (r *Router) linksNow() (map[string]string, error) {
	have := map[string]string{}
	for _, scheme := range []string{"https", "http"} {
		dir := filepath.Join(r.nginx.Files.Calls, scheme)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("read where calls lead: %w", err)
		}
		for _, e := range entries {
			link := filepath.Join(dir, e.Name())
			target, _ := os.Readlink(link)
			have[link] = target
		}
	}
	return have, nil
}

// link puts a link in place, whole.
func (r *Router) link(target, link string) error {
	next := filepath.Join(r.nginx.Files.Calls, "next")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return failpoint.Around("router.calls.link", func() error {
		return errors.Join(os.Symlink(target, next), os.Rename(next, link))
	})
}
