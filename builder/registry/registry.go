// Package registry is the image registry that comes with the control plane.
//
// It is distribution's registry in this process, with its files in one directory. Builds push to it and
// nodes pull from it with one credential, which is made at the first start and kept in a file that only its
// owner can read; nobody gets in without it. Deletion is on. Sweep takes away what nothing keeps, while pushes and
// pulls go on.
//
// It does not know what is to be kept, proxy other registries or speak TLS: it listens where the caller lets it.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the driver named in config
)

// Options say where the registry keeps its things.
type Options struct {
	Dir         string       // of blobs and manifests; made if missing
	Credentials string       // file of the credential; made if missing, 0600
	Room        func() error // why nothing can be taken now, a sentence; nil: there is always room
	Logger      *slog.Logger
}

// Registry answers the registry API, version 2.
type Registry struct {
	app        *handlers.App
	dir        string
	credential Credential
	room       func() error
	lately     lately
	sweeping   sync.Mutex
	logger     *slog.Logger
}

// Open reads or makes the credential and opens the store. The caller closes it.
func Open(o Options) (*Registry, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	credential, err := loadCredential(o.Credentials)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if registered != nil {
		return nil, fmt.Errorf("registry: %w", registered)
	}
	redirectLogs(o.Logger)
	app, err := newApp(config(o.Dir, credential))
	if err != nil {
		return nil, fmt.Errorf("registry in %s: %w", o.Dir, err)
	}
	return &Registry{app: app, dir: o.Dir, credential: credential, room: o.Room, lately: lately{at: map[string]time.Time{}}, logger: o.Logger}, nil
}

// Credential is what opens the registry: for pushes, and for the pulls of the nodes.
func (r *Registry) Credential() Credential { return r.credential }

// ServeHTTP answers one request. It is safe for concurrent use.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if _, err := (gate{r.credential}).Authorized(req); err != nil {
		r.app.ServeHTTP(w, req) // it asks for the credential
		return
	}
	if err := r.roomFor(req); err != nil {
		refuse(w, err.Error())
		return
	}
	digests, err := named(req)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	r.lately.note(digests...)
	if upload, ok := uploadOf(req); ok {
		r.upload(w, req, upload)
		return
	}
	r.app.ServeHTTP(w, req)
}

// roomFor refuses what would write when the disk has no room for it.
func (r *Registry) roomFor(req *http.Request) error {
	switch {
	case r.room == nil:
		return nil
	case req.Method == http.MethodPost, req.Method == http.MethodPatch, req.Method == http.MethodPut:
		return r.room()
	}
	return nil
}

// refuse answers with an error of the distribution specification. An engine tries anything else again, five times.
func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": "DENIED", "message": why}}}) // the client has gone, if it fails
}

// Close stops the housekeeping. Requests that are still being answered are not waited for: see Serve.
func (r *Registry) Close() error { return r.app.Shutdown() }

// Serve answers on a listener until ctx ends, then lets running requests finish for at most ten seconds.
// It closes the listener.
func (r *Registry) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{Handler: r, ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(r.logger.Handler(), slog.LevelDebug)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("registry: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := errors.Join(server.Shutdown(grace), server.Close())
	if stopped := <-ended; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}

// newApp turns the panics that distribution answers bad configuration with into errors.
func newApp(c *configuration.Configuration) (app *handlers.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return handlers.NewApp(context.Background(), c), nil
}

func config(dir string, credential Credential) *configuration.Configuration {
	c := &configuration.Configuration{
		Version: "0.1",
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": dir},
			"delete":     {"enabled": true},
		},
		Auth: configuration.Auth{authName: {authOption: credential}},
	}
	c.HTTP.Secret = credential.uploadSecret()
	return c
}
