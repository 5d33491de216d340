package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
)

// What callers may test for.
var (
	ErrNoImage = errors.New("no such image in the engine")
	ErrInUse   = errors.New("it is still used") // an image by a container, a secret by a service
)

// ImageConfig is what an image says about itself. Everything in it was written by whoever made the image.
type ImageConfig struct {
	ID           string // "sha256:...", names the content; the same on every engine of the same kind
	Entrypoint   []string
	Cmd          []string
	Env          []string
	Workdir      string
	User         string
	Labels       map[string]string
	OS           string              // "linux"
	Architecture string              // "amd64", as Go says it
	Digests      []string            // repository@sha256:... of each registry it was pulled from or pushed to; none for an imported one
	Bytes        int64               // with all its layers
	OCI          ocispec.ImageConfig // the whole of it, but for its health check and what follows
	OnBuild      []string            // instructions for a Dockerfile that begins from it
	Shell        []string            // that a Dockerfile's RUN uses; none: /bin/sh -c
	Layers       []string            // "sha256:..." of each, unpacked
}

// Image is one of our images.
type Image struct {
	ID      string
	Tags    []string
	Digests []string
	Labels  map[string]string
	Created time.Time
	Bytes   int64 // layers shared with other images are counted in each
}

// Auth is a credential at a registry. The zero value is none.
type Auth struct {
	Username string
	Password string
}

// Header is the form in which the engine wants it (X-Registry-Auth, EncodedRegistryAuth of a service).
// It holds the password: never log it.
func (a Auth) Header() string {
	data, err := json.Marshal(registry.AuthConfig{Username: a.Username, Password: a.Password})
	if err != nil {
		return ""
	}
	return base64.URLEncoding.EncodeToString(data)
}

// String hides the password from logs.
func (a Auth) String() string { return a.Username + ":***" }

// GoString hides it from %#v too.
func (a Auth) GoString() string { return a.String() }

// Cluster is the id whose label everything made through this connection carries.
func (e *Engine) Cluster() lain.Cluster { return e.cluster }

// ImageConfig reads an image that the engine has, by name, digest or id. It never pulls; the error is
// ErrNoImage when it would have to.
func (e *Engine) ImageConfig(ctx context.Context, ref string) (ImageConfig, error) {
	got, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return ImageConfig{}, imageError("inspect", ref, err)
	}
	c := ImageConfig{ID: got.ID, OS: got.Os, Architecture: got.Architecture, Digests: got.RepoDigests, Bytes: got.Size}
	if got.Config == nil {
		return c, nil
	}
	c.OCI, c.OnBuild, c.Shell, c.Layers = got.Config.ImageConfig, got.Config.OnBuild, got.Config.Shell, got.RootFS.Layers
	c.Entrypoint, c.Cmd, c.Env = c.OCI.Entrypoint, c.OCI.Cmd, c.OCI.Env
	c.Workdir, c.User, c.Labels = c.OCI.WorkingDir, c.OCI.User, c.OCI.Labels
	return c, nil
}

// Pull brings an image into the engine. It returns when the image is there; pulling one that is there
// already is cheap.
func (e *Engine) Pull(ctx context.Context, ref string, auth Auth) error {
	return failpoint.Around("engine.image.pull", func() error {
		body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth.Header()})
		if err != nil {
			return imageError("pull", ref, err)
		}
		defer body.Close()
		_, err = readProgress(body)
		return imageError("pull", ref, err)
	})
}

// Push sends a tagged image to the registry in its name and returns the digest the registry knows it by.
// Pushing again what is there already is cheap and gives the same digest.
func (e *Engine) Push(ctx context.Context, ref string, auth Auth) (string, error) {
	var digest string
	err := failpoint.Around("engine.image.push", func() error {
		body, err := e.api.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: auth.Header()})
		if err != nil {
			return imageError("push", ref, err)
		}
		defer body.Close()
		digest, err = readProgress(body)
		return imageError("push", ref, err)
	})
	if err == nil && digest == "" {
		err = fmt.Errorf("push image %s: the engine named no digest", ref)
	}
	return digest, err
}

// Tag gives an image one more name; a name that another image had moves to it.
func (e *Engine) Tag(ctx context.Context, ref, name string) error {
	return failpoint.Around("engine.image.tag", func() error {
		return imageError("tag", ref, e.api.ImageTag(ctx, ref, name))
	})
}

// RemoveImage takes a name away from an image, and the image itself with its last name. One that is not
// there is no error; one that a container uses is ErrInUse.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	return failpoint.Around("engine.image.remove", func() error {
		_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if cerrdefs.IsConflict(err) {
			return fmt.Errorf("remove image %s: %w", ref, ErrInUse)
		}
		return imageError("remove", ref, err)
	})
}

// Images lists the images that carry our cluster's label, newest first as the engine does.
func (e *Engine) Images(ctx context.Context) ([]Image, error) {
	ours := filters.NewArgs(filters.Arg("label", ClusterLabel+"="+string(e.cluster)))
	list, err := e.api.ImageList(ctx, image.ListOptions{Filters: ours})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	images := make([]Image, 0, len(list))
	for _, s := range list {
		images = append(images, Image{ID: s.ID, Tags: s.RepoTags, Digests: s.RepoDigests,
			Labels: s.Labels, Created: time.Unix(s.Created, 0).UTC(), Bytes: s.Size})
	}
	return images, nil
}

func imageError(verb, ref string, err error) error {
	switch {
	case err == nil:
		return nil
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("%s image %s: %w", verb, ref, errors.Join(ErrNoImage, err))
	default:
		return fmt.Errorf("%s image %s: %w", verb, ref, err)
	}
}

// progressLine is what pull and push stream: progress for people, one error, and (push) one digest.
type progressLine struct {
	Error       string `json:"error"`
	ErrorDetail struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
	Aux struct {
		Digest string `json:"Digest"`
	} `json:"aux"`
}

// readProgress reads a stream to its end; its error, if it names one, wins.
func readProgress(r io.Reader) (digest string, err error) {
	for dec := json.NewDecoder(r); ; {
		var line progressLine
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return digest, nil
		case err != nil:
			return "", fmt.Errorf("the engine's answer broke off: %w", err)
		}
		if line.ErrorDetail.Message != "" {
			return "", errors.New(line.ErrorDetail.Message)
		}
		if line.Error != "" {
			return "", errors.New(line.Error)
		}
		if line.Aux.Digest != "" {
			digest = line.Aux.Digest
		}
	}
}
