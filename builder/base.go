package builder

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/engine"
	"lain.internal/lain/lain"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

const (
	appLabel    = "lain.app"
	commitLabel = "lain.commit"
	runLabel    = "lain.run"

	// dockerHub is where the engine files names without a host.
	dockerHub = "docker.io/library/"
)

// findBases settles which images, by content, the job begins from.
func (j *Job) findBases(ctx context.Context) error {
	m := j.request.Manifest
	if m.Build.Dockerfile != "" {
		return j.fromDockerfile(ctx)
	}
	var err error
	if j.graph.Base, j.base, err = j.findBase(ctx, "build.base", m.Build.Base, j.at(m.Build.BaseLine)); err != nil {
		return err
	}
	r := m.Release
	switch {
	case r == nil || r.DestBase == "":
		return nil
	case r.DestBase == llb.Scratch:
		j.graph.DestBase = llb.Image{Ref: llb.Scratch, ID: llb.Scratch}
		j.destBase = engine.ImageConfig{OS: j.base.OS, Architecture: j.base.Architecture}
		return nil
	}
	j.graph.DestBase, j.destBase, err = j.findBase(ctx, "release.dest_base", r.DestBase, j.at(r.DestBaseLine))
	return err
}

// at points a fault at a line of lain.yaml.
func (j *Job) at(line int) func(*fault.Fault) error {
	return func(f *fault.Fault) error { return j.request.Manifest.At(line, f) }
}

// findBase takes the engine's image of that name, or pulls it. The image gets a name of ours, by content, so
// that the one in the key is the one that is built on, whatever becomes of the name meanwhile. at says where a fault is.
func (j *Job) findBase(ctx context.Context, key, name string, at func(*fault.Fault) error) (llb.Image, engine.ImageConfig, error) {
	var none engine.ImageConfig
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil || name == llb.Scratch {
		return llb.Image{}, none, at(fault.Hide(fault.Invalid, err, "%s is not the name of an image to begin from", key))
	}
	ref := reference.TagNameOnly(named)
	config, err := j.inspectOrPull(ctx, ref)
	if err != nil {
		return llb.Image{}, none, baseFault(ctx, key, name, err, at)
	}
	if owner, ours := config.Labels[appLabel]; ours && owner != string(j.request.App) {
		return llb.Image{}, none, baseFault(ctx, key, name, engine.ErrNoImage, at) // another's files are in it
	}
	begin, err := j.builder.backend.begin(ctx, j, config)
	if err != nil {
		return llb.Image{}, none, err
	}
	j.bases = append(j.bases, lain.BuildBase{Name: reference.FamiliarString(ref), ID: config.ID})
	return llb.Image{Ref: begin, ID: config.ID, Env: config.Env, User: config.User}, config, nil
}

func (j *Job) inspectOrPull(ctx context.Context, ref reference.Named) (engine.ImageConfig, error) {
	e := j.builder.options.Engine
	config, err := e.ImageConfig(ctx, ref.String())
	if !errors.Is(err, engine.ErrNoImage) {
		return config, err
	}
	j.say("read", report.Detail, "Pulling "+reference.FamiliarString(ref))
	var auth engine.Auth
	if reference.Domain(ref) == j.builder.options.RegistryHost {
		auth = j.builder.options.RegistryAuth
	}
	if err := e.Pull(ctx, ref.String(), auth); err != nil {
		return config, err
	}
	return e.ImageConfig(ctx, ref.String())
}

// prepareConfig is the base's, in our working directory.
func (j *Job) prepareConfig() ([]byte, error) {
	config := j.imageConfig(j.base, map[string]string{appLabel: string(j.request.App)})
	config.Config.WorkingDir = llb.Workdir
	return json.Marshal(config)
}

// releaseConfig is the config of the image the release stands on.
func (j *Job) releaseConfig() ([]byte, error) {
	labels := map[string]string{appLabel: string(j.request.App), commitLabel: string(j.request.Commit), runLabel: strconv.Itoa(j.request.Run)}
	if d := j.graph.Dockerfile; d != nil {
		return d.ImageConfig(j.request.CommitTime.UTC(), func(its map[string]string) map[string]string { return j.relabelled(its, labels) })
	}
	if r := j.request.Manifest.Release; r != nil && r.DestBase != "" {
		return json.Marshal(j.imageConfig(j.destBase, labels))
	}
	config := j.imageConfig(j.base, labels)
	config.Config.WorkingDir = llb.Workdir
	return json.Marshal(config)
}

// imageConfig is an image's config with our labels.
func (j *Job) imageConfig(from engine.ImageConfig, labels map[string]string) ocispec.Image {
	created := j.request.CommitTime.UTC()
	config := ocispec.Image{Created: &created, Platform: ocispec.Platform{OS: from.OS, Architecture: from.Architecture},
		Config: from.OCI, RootFS: ocispec.RootFS{Type: "layers"}}
	config.Config.Labels = j.relabelled(from.Labels, labels)
	return config
}

// relabelled are an image's labels with ours in place of any that only look like ours.
func (j *Job) relabelled(its, ours map[string]string) map[string]string {
	labels := map[string]string{engine.ClusterLabel: string(j.graph.Cluster)}
	maps.Copy(labels, ours)
	for k, v := range its {
		if !strings.HasPrefix(k, "lain.") {
			labels[k] = v
		}
	}
	return labels
}
