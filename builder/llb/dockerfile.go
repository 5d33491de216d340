package llb

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	bk "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"lain.internal/lain/lain/fault"
)

// Dockerfile is what an image is built from where the manifest names one.
type Dockerfile struct {
	Path     string // in the tree
	Text     []byte
	Target   string           // stage; "": the last
	Args     []string         // K=V
	Ignore   []string         // patterns of .dockerignore
	Platform ocispec.Platform // of the machine that builds
}

// BaseImage is an image that a Dockerfile names.
type BaseImage struct {
	Image
	Platform ocispec.Platform
	Config   ocispec.ImageConfig
	OnBuild  []string
	Shell    []string
	Layers   []string
}

// Resolve finds an image that a Dockerfile names. It is called by several at once. Its error may be a *fault.Fault,
// which then gets the line of the Dockerfile.
type Resolve func(ctx context.Context, name string) (BaseImage, error)

// Dockerfiled is a Dockerfile as a graph.
type Dockerfiled struct {
	State bk.State
	Bases map[string]string // the images it begins from or copies from, by the name they are given: ids
	Steps map[string]int    // lines of the Dockerfile, by the names of the steps

	converted *dockerfile2llb.Result
}

// FromDockerfile converts a Dockerfile in this process, so that it means the same with every engine and no image of
// a frontend is run. Whatever would fetch from the server's own network, or ask for more than a build step of ours has,
// is refused. An error of a person's is a *fault.Fault with its place in the Dockerfile.
func (g Graph) FromDockerfile(ctx context.Context, d Dockerfile, find Resolve) (*Dockerfiled, error) {
	if err := d.checkSyntax(); err != nil {
		return nil, err
	}
	images := &resolver{find: find, ids: map[string]string{}, refs: map[string]bool{}}
	files := g.files(bk.ExcludePatterns(d.Ignore))
	caps := pb.Caps.CapSet(nil) // nothing that only some engines know is made use of by itself
	converted, err := dockerfile2llb.Dockerfile2LLB(ctx, d.Text, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{BuildArgs: pairs(d.Args), CacheIDNamespace: g.cacheID(), ImageResolveMode: bk.ResolveModePreferLocal,
			NetworkMode: pb.NetMode_UNSET, Target: d.Target},
		MainContext: &files, SourceMap: bk.NewSourceMap(nil, d.Path, "Dockerfile", d.Text), TargetPlatform: &d.Platform,
		MetaResolver: images, LLBCaps: &caps,
	})
	if err != nil {
		return nil, d.fault(err)
	}
	def, err := converted.State.Marshal(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	steps, err := d.admit(def, images.refs, g.Secrets)
	return &Dockerfiled{State: converted.State, Bases: images.ids, Steps: steps, converted: converted}, err
}

// Workdir is where the image's commands run.
func (d *Dockerfiled) Workdir() string {
	if dir := d.converted.Image.Config.WorkingDir; dir != "" {
		return dir
	}
	return "/"
}

// ImageConfig is the config that the Dockerfile gives its image, as JSON. relabel makes its labels anew.
func (d *Dockerfiled) ImageConfig(created time.Time, relabel func(map[string]string) map[string]string) ([]byte, error) {
	config := *d.converted.Image
	config.Created, config.History, config.RootFS = &created, nil, ocispec.RootFS{Type: "layers"}
	config.Config.Labels = relabel(config.Config.Labels)
	return json.Marshal(config)
}

// resolver answers what the conversion asks of images, and remembers what it answered.
type resolver struct {
	find Resolve
	mu   sync.Mutex
	ids  map[string]string
	refs map[string]bool
}

// ResolveImageConfig is dockerfile2llb's interface: the reference to use, no digest, and the config.
func (r *resolver) ResolveImageConfig(ctx context.Context, name string, o sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	found, err := r.find(ctx, name)
	if err != nil {
		return "", "", nil, err
	}
	if p := o.ImageOpt.Platform; p != nil && (p.OS != found.Platform.OS || p.Architecture != found.Platform.Architecture) {
		return "", "", nil, fault.New(fault.Invalid, "%s is wanted for %s/%s, and the server has it for %s/%s", name, p.OS, p.Architecture,
			found.Platform.OS, found.Platform.Architecture)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[name], r.refs[found.Ref] = found.ID, true
	config, err := json.Marshal(found.json())
	return found.Ref, "", config, err
}

// json is the config as an image has it.
func (b BaseImage) json() any {
	type config struct {
		ocispec.ImageConfig
		OnBuild []string `json:",omitempty"`
		Shell   []string `json:",omitempty"`
	}
	layers := make([]digest.Digest, len(b.Layers))
	for i, l := range b.Layers {
		layers[i] = digest.Digest(l)
	}
	return struct {
		ocispec.Platform
		Config config         `json:"config"`
		RootFS ocispec.RootFS `json:"rootfs"`
	}{b.Platform, config{b.Config, b.OnBuild, b.Shell}, ocispec.RootFS{Type: "layers", DiffIDs: layers}}
}

// At points a fault at a line of the Dockerfile.
func (d Dockerfile) At(line int, f *fault.Fault) *fault.Fault {
	lines := strings.Split(string(d.Text), "\n")
	if line < 1 || line > len(lines) {
		return f.At(d.Path, 0, 0, "")
	}
	return f.At(d.Path, line, 0, lines[line-1])
}

// fault is an error of the conversion, for a person.
func (d Dockerfile) fault(err error) error {
	line := 0
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	var said *fault.Fault
	if errors.As(err, &said) {
		return d.At(line, said)
	}
	sentence, _, _ := strings.Cut(err.Error(), "\n")
	return d.At(line, fault.Hide(fault.Invalid, err, "%s", strings.ToValidUTF8(sentence, "?")))
}

func pairs(args []string) map[string]string {
	m := map[string]string{}
	for _, kv := range args {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}

// bases are the images a Dockerfile names, for a key; none where there is no Dockerfile.
func (d *Dockerfiled) bases() map[string]string {
	if d == nil {
		return nil
	}
	return d.Bases
}
