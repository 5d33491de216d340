package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	buildkit "github.com/moby/buildkit/client"
	bk "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/tonistiigi/fsutil"

	"lain.internal/lain/builder/llb"
	"lain.internal/lain/lain/fault"
	"lain.internal/lain/lain/report"
)

// errTimeLimit is the cause of a stage that took too long.
var errTimeLimit = errors.New("time limit")

// export asks for an image.
type export struct {
	name   string // with host
	config []byte // the image's, JSON
}

// solve runs a graph to its end, in its turn. Its steps' output is reported as it comes, and all of it has
// been when solve returns.
func (j *Job) solve(ctx context.Context, stage string, st bk.State, out *export) error {
	done, err := j.builder.slot(ctx, func(k report.Kind, text string) { j.say(stage, k, text) })
	if err != nil {
		return err
	}
	defer done()
	dir, err := j.files(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, j.builder.options.TimeLimit, errTimeLimit)
	defer cancel()
	w := newWatcher(stage, j.reporter)
	if d := j.graph.Dockerfile; d != nil && stage == "build" { // the later stages find all of it in the cache
		w.steps = d.Steps
	}
	if err := j.runGraph(limited, st, dir, out, w); err != nil {
		return j.solveFault(limited, stage, w, err)
	}
	return nil
}

// runGraph hands a graph to BuildKit. The image's config goes along as a result's metadata,
// since the engine's exporter ignores it as an attribute.
func (j *Job) runGraph(ctx context.Context, st bk.State, dir string, out *export, w *watcher) error {
	def, err := st.Marshal(ctx)
	if err != nil {
		return fmt.Errorf("make the graph: %w", err)
	}
	opt, err := j.solveOptions(ctx, dir, out)
	if err != nil {
		return err
	}
	client, err := j.builder.backend.dial(ctx)
	if err != nil {
		return fmt.Errorf("dial BuildKit: %w", err)
	}
	defer client.Close()
	statuses, watched := make(chan *buildkit.SolveStatus, 64), make(chan struct{})
	go func() { defer close(watched); w.watch(statuses) }()
	var old error // as it is: what comes back from the client has been a message on a wire
	resp, err := client.Build(ctx, opt, "lain", func(ctx context.Context, gw gateway.Client) (*gateway.Result, error) {
		if old = j.supported(def, gw.BuildOpts().LLBCaps); old != nil {
			return nil, old
		}
		res, err := gw.Solve(ctx, gateway.SolveRequest{Definition: def.ToPB(), Evaluate: true, CacheImports: imports(opt)})
		if err == nil && out != nil {
			res.AddMeta(exptypes.ExporterImageConfigKey, out.config)
		}
		return res, err
	}, statuses)
	<-watched // Build closes statuses on every way out
	if err == nil && out != nil {
		j.note(out.name, resp.ExporterResponse)
	}
	return cmp.Or(old, err)
}

// supported refuses what a Dockerfile asks for and the engine's BuildKit does not know.
func (j *Job) supported(def *bk.Definition, caps apicaps.CapSet) error {
	if j.graph.Dockerfile == nil {
		return nil
	}
	for _, meta := range def.Metadata {
		for need := range meta.Caps {
			if err := caps.Supports(need); err != nil {
				name := meta.Description["llb.customname"]
				return j.dockerfile.At(j.graph.Dockerfile.Steps[name], fault.Hide(fault.Invalid, err, "the engine is too old for this: %s", oneLine(name, 120)).
					WithHint("It lacks %s of BuildKit. Write the line without newer flags, or update Docker Engine.", need))
			}
		}
	}
	return nil
}

func (j *Job) solveOptions(ctx context.Context, dir string, out *export) (buildkit.SolveOpt, error) {
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return buildkit.SolveOpt{}, fmt.Errorf("files of the commit: %w", err)
	}
	opt := buildkit.SolveOpt{
		LocalMounts:   map[string]fsutil.FS{llb.ContextName: files},
		FrontendAttrs: map[string]string{}, // the client writes to it
	}
	if len(j.request.Secrets) > 0 {
		opt.Session = append(opt.Session, secretsprovider.FromMap(j.secretValues()))
	}
	return opt, j.builder.backend.ask(ctx, j, &opt, out)
}

// note remembers what the exporter says of an image.
func (j *Job) note(name string, said map[string]string) {
	if j.made == nil {
		j.made = map[string]map[string]string{}
	}
	j.made[name] = said
}

// secretValues are what the engine may ask for while it builds: by the ids that our steps use, and by the plain names
// that a Dockerfile uses.
func (j *Job) secretValues() map[string][]byte {
	values := map[string][]byte{}
	for _, s := range j.request.Secrets {
		values[llb.SecretID(s.Name, s.Version)], values[s.Name] = s.Value, s.Value
	}
	return values
}
