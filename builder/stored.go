package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distribution/reference"

	"lain.internal/lain/engine"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
)

// foreignPrefix begins the repositories that keep copies of foreign images. No application can have the name,
// since it holds a slash behind a reserved word.
const foreignPrefix = "lain/foreign/"

// acceptManifests are the kinds of manifest a registry may answer with (OCI distribution, image-spec).
var acceptManifests = []string{
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
}

// Has tells whether the registry still has an image.
func (b *Builder) Has(ctx context.Context, ref lain.ImageRef) (bool, error) {
	digest, err := b.options.digestOf(ctx, ref.Repository, ref.Digest)
	return digest != "", err
}

// digestOf is the digest of a manifest in the registry, by tag or digest; "" where there is none. The registry's grace is for
// what is asked for by digest.
func (o Options) digestOf(ctx context.Context, repository, reference string) (string, error) {
	resp, err := o.registry(ctx, http.MethodHead, repository+"/manifests/"+url.PathEscape(reference))
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Header.Get("Docker-Content-Digest"), nil
	case http.StatusNotFound:
		return "", nil
	}
	return "", fmt.Errorf("ask the registry for %s@%s: %s", repository, reference, resp.Status)
}

// Foreign finds an image that lain.yaml names itself and keeps a copy in the cluster's registry, so that it is
// deployed by digest and nodes need nothing from outside.
func (b *Builder) Foreign(ctx context.Context, name string) (lain.ImageRef, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return lain.ImageRef{}, fault.Hide(fault.Invalid, err, "%q is not the name of an image", name)
	}
	ref := reference.TagNameOnly(named)
	e := b.options.Engine
	config, err := e.ImageConfig(ctx, ref.String())
	if errors.Is(err, engine.ErrNoImage) {
		if err := e.Pull(ctx, ref.String(), engine.Auth{}); err != nil {
			return lain.ImageRef{}, fault.Hide(fault.Invalid, err, "the image %s is not on this machine and can't be pulled", name).
				WithHint("Load it into the engine, or name one that can be reached.")
		}
		config, err = e.ImageConfig(ctx, ref.String())
	}
	if err != nil {
		return lain.ImageRef{}, err
	}
	if _, ours := config.Labels[appLabel]; ours {
		return lain.ImageRef{}, fault.New(fault.Denied, "the image %s belongs to an application", name)
	}
	repository := foreignPrefix + strings.ReplaceAll(reference.FamiliarName(named), ":", "-")
	copied := fmt.Sprintf("%s/%s:%s", b.options.RegistryHost, repository, strings.TrimPrefix(config.ID, "sha256:"))
	if err := e.Tag(ctx, config.ID, copied); err != nil {
		return lain.ImageRef{}, err
	}
	digest, err := e.Push(ctx, copied, b.options.RegistryAuth)
	return lain.ImageRef{Repository: repository, Digest: digest}, err
}

// Forget removes an application's images from the engine and its manifests from the registry. It may be
// repeated. Layers that others share stay.
func (b *Builder) Forget(ctx context.Context, app lain.AppName) error {
	images, err := b.options.Engine.Images(ctx)
	if err != nil {
		return err
	}
	for _, image := range images {
		if image.Labels[appLabel] != string(app) {
			continue
		}
		for _, name := range namesOf(image) {
			err = errors.Join(err, b.untag(ctx, name))
		}
	}
	return errors.Join(err, b.forgetManifests(ctx, app))
}

// releaseTime is how long containers that have ended may hold an image.
const releaseTime = 20 * time.Second

// untag removes a name from the engine. The engine takes a while to clear away containers that have ended; an
// image that is still in use after that stays, which costs room and nothing else.
func (b *Builder) untag(ctx context.Context, tag string) error {
	deadline := time.NewTimer(releaseTime)
	defer deadline.Stop()
	for {
		err := b.options.Engine.RemoveImage(ctx, tag)
		if !errors.Is(err, engine.ErrInUse) {
			return err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-deadline.C:
			b.logger.Warn("an image stays in the engine, since a container uses it", "image", tag)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *Builder) forgetManifests(ctx context.Context, app lain.AppName) error {
	resp, err := b.options.registry(ctx, http.MethodGet, string(app)+"/tags/list")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	var list struct{ Tags []string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&list); err != nil {
		return fmt.Errorf("list the tags of %s: %w", app, err)
	}
	for _, tag := range list.Tags {
		if err := b.forgetTag(ctx, app, tag); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) forgetTag(ctx context.Context, app lain.AppName, tag string) error {
	digest, err := b.options.digestOf(ctx, string(app), tag)
	if err != nil || digest == "" {
		return err
	}
	return failpoint.Around("builder.registry.delete", func() error {
		resp, err := b.options.registry(ctx, http.MethodDelete, string(app)+"/manifests/"+url.PathEscape(digest))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusNotFound {
			return fmt.Errorf("delete %s@%s from the registry: %s", app, digest, resp.Status)
		}
		return nil
	})
}

// registry sends one request to the cluster's registry. The caller closes the body.
func (o Options) registry(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+o.RegistryHost+"/v2/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header["Accept"] = acceptManifests
	req.SetBasicAuth(o.RegistryAuth.Username, o.RegistryAuth.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the registry: %w", err)
	}
	return resp, nil
}
