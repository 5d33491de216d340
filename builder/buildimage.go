package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/engine"
	"lain.internal/lain/failpoint"
	"lain.internal/lain/lain/report"
)

// BuildImage makes an image of the state in which the release image is copied out, that of Build, and returns its id in
// the engine. It is named by the key, so that one which the engine has is taken as it is; it goes into no registry. Its
// name is held until Close.
func (j *Job) BuildImage(ctx context.Context) (id string, err error) {
	name := j.buildName()
	if err := j.hold(name, nil); err != nil {
		return "", err
	}
	e := j.builder.options.Engine
	config, err := e.ImageConfig(ctx, name)
	if !errors.Is(err, engine.ErrNoImage) {
		return config.ID, err
	}
	if err := j.makeBuildImage(ctx, name); err != nil {
		return "", err
	}
	config, err = e.ImageConfig(ctx, name)
	return config.ID, err
}

func (j *Job) makeBuildImage(ctx context.Context, name string) error {
	j.say("build", report.Stage, "Making the build image of "+j.request.Commit.Short())
	if err := j.prepared(ctx); err != nil {
		return err
	}
	return failpoint.Around("builder.buildimage", func() error {
		config, err := j.buildConfig()
		if err != nil {
			return err
		}
		whole := j.builder.backend.whole(name)
		if err := j.solve(ctx, "build", j.graph.Build(), &export{name: whole, config: config}); err != nil {
			return err
		}
		return j.builder.backend.fetch(ctx, j, whole, name)
	})
}

// buildName is what the build image is called: LAIN's build-<...>, by what it was built from.
func (j *Job) buildName() string { return fmt.Sprintf("%s:build-%s", j.request.App, j.key) }

// buildConfig is the base's, in our working directory; a Dockerfile says its own. Neither commit nor run is in it: others
// can have the same build.
func (j *Job) buildConfig() ([]byte, error) {
	labels := map[string]string{appLabel: string(j.request.App)}
	if d := j.graph.Dockerfile; d != nil {
		return d.ImageConfig(j.request.CommitTime.UTC(), func(its map[string]string) map[string]string { return j.relabelled(its, labels) })
	}
	config := j.imageConfig(j.base, labels)
	config.Config.WorkingDir = llb.Workdir
	return json.Marshal(config)
}
