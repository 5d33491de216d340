package builder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	buildkit "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"

	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// BuildKit says where a buildkitd listens.
type BuildKit struct {
	Addr string // unix:///path or tcp://host:port; "": the engine's own BuildKit builds
	TLS  string // folder with ca.pem, cert.pem and key.pem; needed for tcp
}

// Check says what is wrong with it, nil where nothing is.
func (k BuildKit) Check() error {
	switch tcp := strings.HasPrefix(k.Addr, "tcp://"); {
	case k.Addr == "" && k.TLS != "":
		return errors.New("a TLS folder for buildkitd without its address")
	case k.Addr == "", strings.HasPrefix(k.Addr, "unix:///") && k.TLS == "":
		return nil
	case tcp && k.TLS == "":
		return fmt.Errorf("buildkitd at %s needs TLS: who reaches it without is root there", k.Addr)
	case tcp:
		return nil
	}
	return fmt.Errorf("buildkitd is at unix:///path, without TLS, or at tcp://host:port, with it, and not at %q", k.Addr)
}

const (
	// basePrefix begins the repository with copies of bases. No application can have the name, since it holds a slash
	// behind a reserved word.
	basePrefix = "lain/base"

	// cacheTag names an application's build cache among its images.
	cacheTag = "cache"

	// networkLabel tells which network the steps of a worker are in (buildkit, worker/label).
	networkLabel = "org.mobyproject.buildkit.worker.network"
)

// buildkitd is a BuildKit of its own, on this machine or another. It begins from images of the cluster's registry and
// pushes there what it makes, with its provenance, and the cache of each release.
type buildkitd struct{ options Options }

func (k buildkitd) String() string { return "the buildkitd at " + k.options.BuildKit.Addr }

// dial refuses one whose steps would share its machine's network: they would reach what listens on it.
func (k buildkitd) dial(ctx context.Context) (*buildkit.Client, error) {
	c, err := buildkit.New(ctx, k.options.BuildKit.Addr, k.security()...)
	if err != nil {
		return nil, err
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	for _, w := range workers {
		if w.Labels[networkLabel] == "host" {
			refusal := fault.New(fault.Unavailable, "%s would run the build in its machine's own network", k).
				WithHint("Start it with a network for its steps: --oci-worker-net=cni or bridge (docs/operations.md).")
			return nil, errors.Join(refusal, c.Close())
		}
	}
	return c, nil
}

func (k buildkitd) security() []buildkit.ClientOpt {
	dir := k.options.BuildKit.TLS
	if dir == "" {
		return nil
	}
	return []buildkit.ClientOpt{
		buildkit.WithServerConfig(k.host(), filepath.Join(dir, "ca.pem")),
		buildkit.WithCredentials(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")),
	}
}

// begin has a copy of the image in the registry. Nothing keeps it there while the job goes on: a sweep can take one that was
// pushed more than an hour ago.
func (k buildkitd) begin(ctx context.Context, j *Job, from engine.ImageConfig) (string, error) {
	id := strings.TrimPrefix(from.ID, "sha256:")
	digest, err := k.options.digestOf(ctx, basePrefix, id)
	if err == nil && digest == "" {
		digest, err = k.copyBase(ctx, j, from.ID, pins(k.options)+id)
	}
	return k.options.RegistryHost + "/" + basePrefix + "@" + digest, err
}

func (k buildkitd) copyBase(ctx context.Context, j *Job, id, name string) (digest string, err error) {
	e := k.options.Engine
	if err := j.hold(name, func() error { return e.Tag(ctx, id, name) }); err != nil {
		return "", err
	}
	return e.Push(ctx, name, k.options.RegistryAuth)
}

func (k buildkitd) whole(name string) string { return k.options.RegistryHost + "/" + name }

func (k buildkitd) has(ctx context.Context, name string) (bool, error) {
	repository, tag, _ := strings.Cut(name, ":")
	digest, err := k.options.digestOf(ctx, repository, tag)
	return digest != "", err
}

// ask pushes the image, and with a release its provenance and the cache of all that led to it.
func (k buildkitd) ask(ctx context.Context, j *Job, opt *buildkit.SolveOpt, out *export) error {
	opt.Session = append(opt.Session, registryAuth{host: k.options.RegistryHost, auth: k.options.RegistryAuth})
	there, err := k.options.digestOf(ctx, string(j.request.App), cacheTag)
	if err != nil {
		return err
	}
	cache := buildkit.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": k.options.RegistryHost + "/" + string(j.request.App) + ":" + cacheTag, "registry.insecure": "true"}}
	if there != "" {
		opt.CacheImports = []buildkit.CacheOptionsEntry{cache}
	}
	if out == nil {
		return nil
	}
	opt.Exports = []buildkit.ExportEntry{{Type: buildkit.ExporterImage, Attrs: map[string]string{"name": out.name, "push": "true", "registry.insecure": "true"}}}
	if out.name == j.releaseName() {
		opt.FrontendAttrs["attest:provenance"] = "mode=min"
		opt.CacheExports = []buildkit.CacheOptionsEntry{{Type: cache.Type, Attrs: map[string]string{"mode": "max", "ref": cache.Attrs["ref"], "registry.insecure": "true"}}}
	}
	return nil
}

// pushed is what the release stage of the same job left, since it has pushed the image already.
func (k buildkitd) pushed(_ context.Context, j *Job, name string) (string, error) {
	digest := j.made[name][exptypes.ExporterImageDigestKey]
	if digest == "" {
		return "", fmt.Errorf("push %s: it was not made", name)
	}
	return digest, nil
}

func (k buildkitd) fetch(ctx context.Context, j *Job, whole, name string) error {
	_, tag, _ := strings.Cut(name, ":")
	ref := strings.TrimSuffix(whole, ":"+tag) + "@" + j.made[whole][exptypes.ExporterImageDigestKey]
	if err := k.options.Engine.Pull(ctx, ref, k.options.RegistryAuth); err != nil {
		return err
	}
	return k.options.Engine.Tag(ctx, ref, name)
}

// kept are prepare images and caches of the applications that have releases.
func (k buildkitd) kept(ctx context.Context, keep Keep) (map[lain.ImageRef]bool, error) {
	names := map[string]bool{}
	for name := range keep.Prepared {
		names[name] = true
	}
	for ref := range keep.Images {
		names[ref.Repository+":"+cacheTag] = true
	}
	all := map[lain.ImageRef]bool{}
	for name := range names {
		repository, tag, _ := strings.Cut(name, ":")
		digest, err := k.options.digestOf(ctx, repository, tag)
		if err != nil {
			return nil, err
		}
		if digest != "" {
			all[lain.ImageRef{Repository: repository, Digest: digest}] = true
		}
	}
	return all, nil
}

// host is the name that the certificate of a buildkitd with TLS is for.
func (k buildkitd) host() string {
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(k.options.BuildKit.Addr, "tcp://"))
	return host
}

// registryAuth tells a buildkitd the credential of the cluster's registry, and of no other.
type registryAuth struct {
	auth.UnimplementedAuthServer
	host string
	auth engine.Auth
}

// Register makes it part of a session.
func (a registryAuth) Register(s *grpc.Server) { auth.RegisterAuthServer(s, a) }

// Credentials answers for the cluster's registry.
func (a registryAuth) Credentials(_ context.Context, q *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	if q.Host != a.host {
		return &auth.CredentialsResponse{}, nil
	}
	return &auth.CredentialsResponse{Username: a.auth.Username, Secret: a.auth.Password}, nil
}
